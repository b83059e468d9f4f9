#pragma once

#include "gateway/admin/control.hpp"
#include "gateway/net/fiber.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace popgate::test {

/// Answers what it is given, and remembers what it was told.
class FakeControl : public Control {
public:
    ServerStatus status(Fiber&) override { return now; }
    std::vector<OpenSession> sessions(Fiber&) override { return open; }
    std::uint64_t kick(Fiber&, std::optional<std::uint64_t> id, const std::string& user) override {
        kicked.emplace_back(id, user);
        return std::erase_if(open, [&](const OpenSession& each) { return id ? each.id == *id : each.user == user; });
    }
    void drain() override { now.draining = true; }
    Result<std::vector<std::string>> reload(Fiber&) override { return reloaded; }
    bool trace(const std::string& user, std::chrono::seconds time) override {
        traced.emplace_back(user, time);
        return can_trace;
    }
    std::vector<TraceLine> trace_lines(Fiber&, const std::string& user, std::uint64_t number,
                                       std::chrono::milliseconds patience) override {
        asked = {user, number, patience};
        return std::exchange(lines, {});
    }

    struct Asked {
        std::string user;
        std::uint64_t number = 0;
        std::chrono::milliseconds patience{};
    };
    ServerStatus now;
    std::vector<OpenSession> open;
    std::vector<std::pair<std::optional<std::uint64_t>, std::string>> kicked;
    Result<std::vector<std::string>> reloaded = std::vector<std::string>{};
    std::vector<std::pair<std::string, std::chrono::seconds>> traced;
    bool can_trace = true;
    Asked asked;
    std::vector<TraceLine> lines;
};

}  // namespace popgate::test
