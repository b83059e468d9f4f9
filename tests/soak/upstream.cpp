// An IMAP server for many short sessions: mailboxes in memory, made when somebody logs in. Says its port in a line, and
// ends with its standard input. The password "wrong" opens nothing.
#include "gateway/net/fiber.hpp"
#include "gateway/net/stream.hpp"
#include "tests/support/tame_imap.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>

#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <unordered_map>

namespace {

using namespace popgate;
using namespace std::chrono_literals;
using boost::asio::ip::tcp;

constexpr std::size_t most_mails = 8;
constexpr std::size_t fewest_mails = 4;

class Upstream {
public:
    explicit Upstream(boost::asio::io_context& context)
        : context_(context), acceptor_(context, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0)) {
        for (std::size_t i = 0; i < most_mails; ++i) {
            std::string mail = "Subject: " + std::to_string(i) + "\r\n\r\n";
            for (std::size_t line = 0; line < (i << (2 * i)) % 3000; ++line) mail += ".a line of the message\r\n";
            mails_.push_back(std::make_shared<const std::string>(std::move(mail)));
        }
        accept();
    }
    unsigned port() const { return acceptor_.local_endpoint().port(); }

private:
    void accept() {
        acceptor_.async_accept([this](boost::system::error_code error, tcp::socket socket) {
            if (!acceptor_.is_open()) return;
            if (!error) {
                auto shared = std::make_shared<tcp::socket>(std::move(socket));
                Fiber::start(
                    context_, [this, shared](Fiber& fiber) { serve(fiber, std::move(*shared)); },
                    [](const std::exception&) {});
            }
            accept();
        });
    }

    void serve(Fiber& fiber, tcp::socket socket) {
        Stream stream(fiber, std::move(socket));
        std::shared_ptr<test::TameImap> mailbox;
        std::string input;
        boost::system::error_code error = stream.write(test::TameImap::greeting(), 60s);
        while (!error) {
            std::string answers;
            for (auto end = input.find("\r\n"); end != std::string::npos; end = input.find("\r\n")) {
                const auto line = input.substr(0, end);
                input.erase(0, end + 2);
                answers += answer(mailbox, line);
            }
            if (!answers.empty()) error = stream.write(answers, 60s);
            if (answers.find("* BYE ") == 0) break;
            char octets[4096];
            if (!error) input.append(octets, stream.read_some(octets, sizeof octets, 600s, error));
        }
        stream.close(0ms);
    }

    std::string answer(std::shared_ptr<test::TameImap>& mailbox, const std::string& line) {
        const auto tag = line.substr(0, line.find(' '));
        const auto login = line.find(" LOGIN ");
        if (login != std::string::npos) {
            const auto user = line.substr(login + 7, line.find(' ', login + 7) - login - 7);
            if (line.find("wrong", login + 7 + user.size()) != std::string::npos)
                return tag + " NO [AUTHENTICATIONFAILED] no\r\n";
            auto& one = mailboxes_[user];
            if (!one) one = std::make_shared<test::TameImap>();
            mailbox = one;
        }
        static test::TameImap nobody;
        auto& box = mailbox ? *mailbox : nobody;
        if (mailbox && line.find(" SELECT ") != std::string::npos && box.mails().size() < fewest_mails)
            for (const auto& mail : mails_) box.deliver(mail);
        return box.answer(line);
    }

    boost::asio::io_context& context_;
    tcp::acceptor acceptor_;
    std::vector<std::shared_ptr<const std::string>> mails_;
    std::unordered_map<std::string, std::shared_ptr<test::TameImap>> mailboxes_;
};

}  // namespace

int main() {
    boost::asio::io_context context(1);
    const Upstream upstream(context);
    std::printf("%u\n", upstream.port());
    std::fflush(stdout);
    boost::asio::posix::stream_descriptor input(context, ::dup(STDIN_FILENO));
    input.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                     [&](boost::system::error_code) { context.stop(); });
    context.run();
    std::_Exit(0);  // fibers that wait are not ended one by one
}
