#pragma once

#include "backends/imap/etpan_session.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace popgate::test {

/// One turn of a conversation. In both texts "<tag>" stands for the tag of the client's last command, or of the first
/// one of several that it sent in one breath; the others have "<tag+1>", "<tag+2>", …
struct Turn {
    std::string client;  ///< what the client must have sent since the turn before; empty for the greeting
    std::string server;  ///< the answer to it
};

/// An IMAP server in memory that knows one conversation by heart, and stays silent when the client says other things.
class ScriptedTransport final : public imap::Transport {
public:
    explicit ScriptedTransport(std::vector<Turn> turns) : turns_(std::move(turns)) {}

    /// The connection is lost after so many octets of the server.
    std::uint64_t cut_after = std::numeric_limits<std::uint64_t>::max();
    /// The most that one read() gives.
    std::size_t piece = std::numeric_limits<std::size_t>::max();

    std::size_t read(char* data, std::size_t size) noexcept override {
        if (waiting_.empty()) answer();
        const auto left = static_cast<std::size_t>(std::min<std::uint64_t>(cut_after - served_, waiting_.size()));
        const auto count = std::min({left, size, piece});
        std::copy_n(waiting_.begin(), count, data);
        waiting_.erase(0, count);
        served_ += count;
        return count;
    }

    bool write(std::string_view octets) noexcept override {
        unanswered_ += octets;
        sent_ += octets;
        return true;
    }

    std::string failure() const override { return "end of script"; }

    /// All that the client sent, tags included.
    const std::string& sent() const { return sent_; }
    std::uint64_t served() const { return served_; }
    /// What the client said that was not in the script; empty when it kept to it.
    const std::string& surprise() const { return surprise_; }
    bool at_end() const { return next_ == turns_.size() && waiting_.empty(); }

private:
    static std::string replace_tag(std::string text, const std::string& tag) {
        constexpr std::string_view place = "<tag>";
        for (std::size_t at = 0; (at = text.find(place, at)) != std::string::npos; at += tag.size())
            text.replace(at, place.size(), tag);
        const auto number = tag.empty() ? std::string() : std::to_string(std::atoi(tag.c_str()) + 1);
        constexpr std::string_view later = "<tag+1>";
        for (std::size_t at = 0; (at = text.find(later, at)) != std::string::npos; at += number.size())
            text.replace(at, later.size(), number);
        return text;
    }

    /// Without the quotes around what could stand without them: a client may write it either way.
    static std::string normal_form(const std::string& text) {
        std::string normal;
        for (std::size_t at = 0; at < text.size(); ++at) {
            const auto end = text[at] == '"' ? text.find('"', at + 1) : std::string::npos;
            const auto inside = end == std::string::npos ? "" : text.substr(at + 1, end - at - 1);
            const bool is_atom = !inside.empty() && std::ranges::all_of(inside, [](char c) {
                return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
            });
            normal += is_atom ? inside : text.substr(at, 1);
            if (is_atom) at = end;
        }
        return normal;
    }

    void answer() {
        if (next_ == turns_.size()) {
            surprise_ += unanswered_;
            return;
        }
        const auto& turn = turns_[next_];
        if (turn.client.starts_with("<tag>")) tag_ = unanswered_.substr(0, unanswered_.find(' '));
        if (normal_form(replace_tag(turn.client, tag_)) != normal_form(unanswered_)) {
            surprise_ += unanswered_;
            return;
        }
        unanswered_.clear();
        ++next_;
        waiting_ = replace_tag(turn.server, tag_);
    }

    std::vector<Turn> turns_;
    std::size_t next_ = 0;
    std::string tag_;
    std::string unanswered_;
    std::string waiting_;
    std::string sent_;
    std::string surprise_;
    std::uint64_t served_ = 0;
};

}  // namespace popgate::test
