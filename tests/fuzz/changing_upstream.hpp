#pragma once

#include "gateway/net/fiber.hpp"
#include "gateway/net/stream.hpp"
#include "tests/fuzz/whole_session_script.hpp"
#include "tests/support/tame_imap.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace popgate::test {

/// Serves a TameImap on loopback, with the changes that a script wants of its answers. Of one thread, which runs the
/// context; stop() must come before the context can end.
class ChangingUpstream {
public:
    using tcp = boost::asio::ip::tcp;

    ChangingUpstream(tcp::acceptor& acceptor, boost::asio::io_context& context, TameImap& mailbox,
                     const std::vector<Change>& changes)
        : acceptor_(acceptor), context_(context), mailbox_(mailbox), changes_(changes) {
        accept();
    }
    void stop() {
        is_stopped_ = true;
        acceptor_.cancel();
    }

    /// False once something was said that could pass for other mail.
    bool is_truthful() const { return is_truthful_; }

private:
    void accept() {
        acceptor_.async_accept([this](boost::system::error_code error, tcp::socket socket) {
            if (error || is_stopped_) return;
            auto shared = std::make_shared<tcp::socket>(std::move(socket));
            Fiber::start(
                context_, [this, shared](Fiber& fiber) { serve(fiber, std::move(*shared)); },
                [](const std::exception&) {});
            accept();
        });
    }

    void serve(Fiber& fiber, tcp::socket socket) {
        using namespace std::chrono_literals;
        Stream stream(fiber, std::move(socket));
        std::string input;
        if (!say(stream, TameImap::greeting(), "")) return stream.abort();
        for (;;) {
            for (auto end = input.find("\r\n"); end != std::string::npos; end = input.find("\r\n")) {
                const auto line = input.substr(0, end);
                input.erase(0, end + 2);
                if (!say(stream, mailbox_.answer(line), line.substr(0, line.find(' ')))) return stream.abort();
                if (line.ends_with("LOGOUT")) return stream.close(0ms);
            }
            char octets[4096];
            boost::system::error_code error;
            // After an answer that has no end the gateway may wait for more: it has waited long enough.
            const auto count = stream.read_some(octets, sizeof octets, was_changed_ ? 5ms : 10'000ms, error);
            if (error) return stream.close(0ms);
            input.append(octets, count);
        }
    }

    /// False: the connection is to end.
    bool say(Stream& stream, std::string answer, const std::string& tag) {
        const auto change = next_ < changes_.size() ? changes_[next_++] : Change{};
        was_changed_ = change.kind != Change::Kind::none;
        const bool has_mail = answer.find(" BODY[") != std::string::npos;
        auto text = change.text;
        for (std::size_t at = 0; (at = text.find("<tag>", at)) != std::string::npos;) text.replace(at, 5, tag);
        const auto at = std::min(change.at, answer.size());
        bool goes_on = true;
        switch (change.kind) {
            case Change::Kind::none: break;
            case Change::Kind::cut:
                answer.resize(at);
                goes_on = false;
                break;
            case Change::Kind::put: answer.insert(at, text); break;
            case Change::Kind::leave_out: answer.erase(at, change.count); break;
            case Change::Kind::say: answer = text; break;
            case Change::Kind::hang_up: return false;
        }
        if (was_changed_ && change.kind != Change::Kind::cut && (has_mail || answer.find("FETCH") != std::string::npos))
            is_truthful_ = false;
        const auto error = stream.write(answer, std::chrono::seconds(5));
        return goes_on && !error;
    }

    tcp::acceptor& acceptor_;
    boost::asio::io_context& context_;
    TameImap& mailbox_;
    const std::vector<Change>& changes_;
    std::size_t next_ = 0;
    bool was_changed_ = false;
    bool is_truthful_ = true;
    bool is_stopped_ = false;
};

}  // namespace popgate::test
