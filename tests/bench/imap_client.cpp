#include "tests/bench/mail_client.hpp"

#include <charconv>
#include <stdexcept>

namespace popgate::bench {
namespace {

/// What a gateway has to say upstream, and no more: the floor under its time.
class ImapClient final : public MailClient {
public:
    explicit ImapClient(std::unique_ptr<Wire> wire) : MailClient(std::move(wire)) {
        if (!wire_->line().starts_with("* OK")) throw std::runtime_error("no greeting");
    }

    void log_in(const std::string& user, const std::string& password) override {
        command("LOGIN \"" + user + "\" \"" + password + "\"");
        command("SELECT INBOX");
    }

    Amount stat() override { return {exists_, 0}; }

    std::uint64_t open_listing() override { return list(); }

    std::uint64_t list() override {
        if (exists_ == 0) return 0;
        return command("FETCH 1:* (UID RFC822.SIZE)").sizes;
    }

    Amount retrieve(std::uint64_t last, std::uint64_t window) override {
        if (last == 0) return {};
        if (window == 0) return bodies(command("FETCH 1:" + std::to_string(last) + " BODY.PEEK[]"), last);
        Answer all;
        std::uint64_t asked = 0;
        for (std::uint64_t answered = 0; answered < last; ++answered) {
            while (asked < last && asked - answered < window) {
                wire_->send("f FETCH " + std::to_string(++asked) + " BODY.PEEK[]\r\n");
            }
            const auto answer = until_tagged("f");  // Dovecot may answer several first, and then end them all
            all.literals += answer.literals;
            all.octets += answer.octets;
        }
        return bodies(all, last);
    }

    double begin_first() override {
        const auto began = Clock::now();
        wire_->send("b FETCH 1 BODY.PEEK[]\r\n");
        std::uint64_t literal = 0;
        while (!ends_in_literal(wire_->line(), literal)) {
        }
        wire_->wait();
        announced_ = literal;
        return std::chrono::duration<double, std::milli>(Clock::now() - began).count();
    }

    std::uint64_t finish_first() override {
        wire_->skip(announced_);
        wire_->line();  // what ends the FETCH answer
        until_tagged("b");
        return announced_;
    }

    Amount take(std::uint64_t last) override {
        Amount amount;
        while (amount.messages < last) {
            amount.octets += bodies(command("FETCH " + std::to_string(++amount.messages) + " BODY.PEEK[]"), 1).octets;
        }
        command("STORE 1:" + std::to_string(last) + " +FLAGS.SILENT (\\Deleted)");
        command("EXPUNGE");
        return amount;
    }

    void noop() override { command("NOOP"); }
    void quit() override { command("LOGOUT"); }

private:
    struct Answer {
        std::uint64_t sizes = 0, literals = 0, octets = 0;
    };

    static Amount bodies(const Answer& answer, std::uint64_t count) {
        if (answer.literals != count) throw std::runtime_error("messages are missing");
        return {answer.literals, answer.octets};
    }

    static bool ends_in_literal(std::string_view line, std::uint64_t& octets) {
        if (!line.ends_with('}')) return false;
        const auto open = line.rfind('{');
        if (open == std::string_view::npos) return false;
        const char* end = line.data() + line.size() - 1;
        return std::from_chars(line.data() + open + 1, end, octets).ptr == end;
    }

    Answer command(const std::string& text) {
        wire_->send("a " + text + "\r\n");
        return until_tagged("a");
    }

    Answer until_tagged(std::string_view tag) {
        Answer answer;
        for (;;) {
            auto line = wire_->line();
            if (line.starts_with(tag) && line.substr(tag.size()).starts_with(' ')) {
                if (!line.substr(tag.size() + 1).starts_with("OK")) {
                    throw std::runtime_error("the server says: " + std::string(line));
                }
                return answer;
            }
            if (!line.starts_with("* ")) throw std::runtime_error("an answer that is none: " + std::string(line));
            if (line.ends_with(" EXISTS")) std::from_chars(line.data() + 2, line.data() + line.size(), exists_);
            if (line.find("RFC822.SIZE ") != std::string_view::npos) ++answer.sizes;
            std::uint64_t literal = 0;
            while (ends_in_literal(line, literal)) {
                wire_->skip(literal);
                ++answer.literals;
                answer.octets += literal;
                line = wire_->line();
            }
        }
    }

    std::uint64_t exists_ = 0;
    std::uint64_t announced_ = 0;
};

}  // namespace

std::unique_ptr<MailClient> make_imap_client(std::unique_ptr<Wire> wire) {
    return std::make_unique<ImapClient>(std::move(wire));
}

}  // namespace popgate::bench
