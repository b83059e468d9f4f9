#include "tests/bench/mail_client.hpp"

#include <charconv>
#include <stdexcept>

namespace popgate::bench {
namespace {

class Pop3Client final : public MailClient {
public:
    explicit Pop3Client(std::unique_ptr<Wire> wire) : MailClient(std::move(wire)) { ok(); }

    void log_in(const std::string& user, const std::string& password) override {
        command("USER " + user);
        command("PASS " + password);
    }

    Amount stat() override {
        const auto reply = command("STAT");
        Amount amount;
        const char* at = reply.data() + 4;
        const char* end = reply.data() + reply.size();
        const auto count = std::from_chars(at, end, amount.messages);
        if (count.ec != std::errc{} || count.ptr == end) throw std::runtime_error("no reply to STAT: " + reply);
        const auto octets = std::from_chars(count.ptr + 1, end, amount.octets);
        if (octets.ec != std::errc{}) throw std::runtime_error("no reply to STAT: " + reply);
        return amount;
    }

    std::uint64_t open_listing() override { return stat().messages; }

    std::uint64_t list() override {
        command("UIDL");
        for (std::uint64_t count = 0;; ++count) {
            const auto line = wire_->line();
            if (line == ".") return count;
            if (!line.starts_with(std::to_string(count + 1) + " ")) {
                throw std::runtime_error("UIDL " + std::to_string(count + 1) + ": " + std::string(line));
            }
        }
    }

    Amount retrieve(std::uint64_t last, std::uint64_t window) override {
        if (window == 0) window = last;
        Amount amount;
        std::string burst;
        std::uint64_t asked = 0;
        while (amount.messages < last) {
            // What is asked for is topped up when half of it has come, as a client does that fills a buffer.
            if (asked < last && asked - amount.messages <= window / 2) {
                burst.clear();
                while (asked < last && asked - amount.messages < window) {
                    burst += "RETR " + std::to_string(++asked) + "\r\n";
                }
                wire_->send(burst);
            }
            ok();
            amount.octets += wire_->skip_multiline();
            ++amount.messages;
        }
        return amount;
    }

    double begin_first() override {
        const auto began = Clock::now();
        command("RETR 1");
        wire_->wait();
        return std::chrono::duration<double, std::milli>(Clock::now() - began).count();
    }

    std::uint64_t finish_first() override { return wire_->skip_multiline(); }

    Amount take(std::uint64_t last) override {
        Amount amount;
        while (amount.messages < last) {
            const auto number = std::to_string(++amount.messages);
            command("RETR " + number);
            amount.octets += wire_->skip_multiline();
            command("DELE " + number);
        }
        return amount;
    }

    void noop() override { command("NOOP"); }
    void quit() override { command("QUIT"); }

private:
    std::string command(const std::string& text) {
        wire_->send(text + "\r\n");
        return ok();
    }

    std::string ok() {
        std::string reply(wire_->line());
        if (!reply.starts_with("+OK")) throw std::runtime_error("the server says: " + reply);
        return reply;
    }
};

}  // namespace

std::unique_ptr<MailClient> make_pop3_client(std::unique_ptr<Wire> wire) {
    return std::make_unique<Pop3Client>(std::move(wire));
}

}  // namespace popgate::bench
