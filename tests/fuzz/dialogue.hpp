#pragma once

#include "gateway/pop3/line_reader.hpp"
#include "gateway/pop3/session.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace popgate::test {

/// Stands in for gateway/net/connection: feeds a Session what a client sends, cut anywhere, and writes down what the
/// client would get. Bodies and lists are single words here; they have tests of their own.
class Dialogue {
public:
    static constexpr std::string_view user = "alice";
    static constexpr std::string_view password = "sec ret";
    static constexpr std::string_view token = "tok3n";

    explicit Dialogue(const pop3::Policy& policy = {}, bool tls_active = false, std::size_t longest_line = 512)
        : longest_line_(longest_line), session_(policy, tls_active), lines_(longest_line) {}

    void feed(std::string_view octets) {
        if (closed_) return;
        lines_.feed(octets);
        std::string_view line;
        while (!closed_) {
            const auto event = lines_.next(line);
            if (event == pop3::LineReader::Event::none) return;
            auto action = event == pop3::LineReader::Event::line ? session_.on_line(line) : session_.on_overlong_line();
            std::visit([this](auto& each) { perform(std::move(each)); }, action);
        }
    }

    /// One reply, or one word for what the connection was asked to do, each.
    const std::vector<std::string>& replies() const { return replies_; }
    std::string transcript() const {
        std::string all;
        for (const auto& reply : replies_) all += reply;
        return all;
    }
    bool closed() const { return closed_; }
    pop3::Session& session() { return session_; }

    static std::vector<MessageInfo> messages() {
        return {{.id = "m1", .octets = 120, .octets_are_exact = true},
                {.id = "m2", .octets = 200, .octets_are_exact = true},
                {.id = "m3", .octets = 5'000'000'000}};
    }

private:
    void perform(pop3::SendReply action) {
        replies_.push_back(std::move(action.text));
        closed_ = action.close;
    }
    void perform(pop3::StartTls) {
        // As the connection does: whatever followed in clear ends the conversation.
        replies_.emplace_back("<tls>\r\n");
        closed_ = !lines_.empty();
        lines_ = pop3::LineReader(longest_line_);
        session_.tls_started(true);
    }
    void perform(pop3::Authenticate action) {
        if (action.proof.user == user && is_proved(action.proof))
            perform(session_.login_succeeded(
                pop3::Maildrop(messages(), [](const MessageInfo& message) { return "id-" + message.id; })));
        else
            perform(session_.login_failed(Error{Errc::auth, "wrong user name or password", {}}));
    }
    void perform(pop3::SendBody action) {
        replies_.push_back("<body " + std::to_string(action.number) +
                           (action.top_lines ? " top " + std::to_string(*action.top_lines) : "") + ">\r\n");
    }
    void perform(pop3::SendScanList action) { replies_.emplace_back(action.unique_ids ? "<uidl>\r\n" : "<list>\r\n"); }
    void perform(pop3::CommitAndQuit) {
        replies_.push_back(session_.committed(session_.maildrop().marked_count(), 0, 0, {}));
        closed_ = true;
    }

    static bool is_proved(const Proof& proof) {
        using Method = Proof::Method;
        const auto& secret = proof.secret.reveal();
        if (proof.method == Method::password) return secret == password;
        if (proof.method == Method::token) return secret == token;
        return proof.method == Method::certificate || proof.method == Method::trusted_host;
    }

    std::size_t longest_line_;
    pop3::Session session_;
    pop3::LineReader lines_;
    std::vector<std::string> replies_;
    bool closed_ = false;
};

}  // namespace popgate::test
