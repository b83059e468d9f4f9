// POP3 clients of all kinds, so many sessions on a few fibers:
//
//     soak_clients PORT TLS_PORT CA_FILE USERS_FILE
//
// USERS_FILE has a line "NAME PASSWORD FREE" for each user; FREE is 1 where messages may be deleted. Each line
// "SESSIONS AT_ONCE SEED" on standard input is one phase; when all of its sessions are over, a line of JSON says how it
// went.
#include "gateway/net/blocking_call.hpp"
#include "gateway/net/fiber.hpp"
#include "gateway/net/stream.hpp"
#include "gateway/net/tls.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace popgate;
using namespace std::chrono_literals;
using boost::asio::ip::tcp;

constexpr auto patience = 60s;

struct User {
    std::string name;
    std::string password;
    bool may_delete = false;
};

/// What became of a phase.
struct Tally {
    std::map<std::string, std::uint64_t> outcomes;
    std::vector<std::uint32_t> login_us;
    std::vector<std::uint32_t> message_us;
};

/// Thrown where a session ends otherwise than its client meant; what() goes into the tally.
using Unexpected = std::runtime_error;

class Talk {
public:
    explicit Talk(Stream& stream) : stream_(stream) {}

    void send(const std::string& text) {
        if (stream_.write(text, patience)) throw Unexpected("lost");
    }
    std::string line() {
        for (;;) {
            const auto end = input_.find("\r\n");
            if (end != std::string::npos) {
                auto line = input_.substr(0, end);
                input_.erase(0, end + 2);
                return line;
            }
            receive();
        }
    }
    std::string ask(const std::string& command) {
        send(command + "\r\n");
        return line();
    }
    void demand(const std::string& command) {
        if (!ask(command).starts_with("+OK")) throw Unexpected("refused " + command.substr(0, command.find(' ')));
    }
    /// Lines of a multi-line reply, which is let go as it comes.
    std::size_t skip_lines(std::chrono::milliseconds pause = 0ms, Fiber* fiber = nullptr) {
        for (std::size_t lines = 0;; ++lines) {
            if (line() == ".") return lines;
            if (pause > 0ms && lines % 200 == 0) fiber->sleep_until(Clock::now() + pause);
        }
    }
    /// Until the server ends the connection.
    void wait_for_end() {
        for (;;) {
            boost::system::error_code error;
            char octets[4096];
            stream_.read_some(octets, sizeof octets, patience, error);
            if (error == boost::asio::error::timed_out) throw Unexpected("never ended");
            if (error) return;
        }
    }

private:
    void receive() {
        boost::system::error_code error;
        char octets[16384];
        const auto count = stream_.read_some(octets, sizeof octets, patience, error);
        if (error) throw Unexpected(error == boost::asio::error::timed_out ? "silence" : "lost");
        input_.append(octets, count);
    }

    Stream& stream_;
    std::string input_;
};

class Clients {
public:
    Clients(boost::asio::io_context& context, unsigned port, unsigned tls_port, const std::string& ca_file,
            std::vector<User> users)
        : context_(context), port_(port), tls_port_(tls_port), users_(std::move(users)) {
        auto tls = TlsClientContext::make(ca_file, true);
        if (tls.has_error()) throw std::runtime_error(tls.error().text);
        tls_ = std::move(*tls);
    }

    Tally phase(std::uint64_t sessions, unsigned at_once, unsigned seed) {
        tally_ = {};
        left_ = sessions;
        random_.seed(seed);
        context_.restart();
        for (unsigned i = 0; i < at_once; ++i)
            Fiber::start(
                context_, [this](Fiber& fiber) { work(fiber); },
                [this](const std::exception& error) { ++tally_.outcomes[error.what()]; });
        context_.run();
        return std::move(tally_);
    }

private:
    void work(Fiber& fiber) {
        while (left_ > 0) {
            --left_;
            std::string outcome = "well";
            {
                tcp::socket socket(context_);
                // An address of its own each time, as no address has ports for so many.
                const auto from = boost::asio::ip::address_v4(0x7F000000u | (1 + random_() % 0xFFFFF));
                socket.open(tcp::v4());
                socket.bind({from, 0});
                const bool tls = random_() % 5 == 0;
                const auto port = static_cast<unsigned short>(tls ? tls_port_ : port_);
                if (fiber.connect(socket, {boost::asio::ip::address_v4::loopback(), port}, Clock::now() + patience)) {
                    ++tally_.outcomes["not connected"];
                    continue;
                }
                Stream stream(fiber, std::move(socket));
                outcome = one_session(fiber, stream, tls);
            }
            ++tally_.outcomes[outcome];
        }
    }

    std::string one_session(Fiber& fiber, Stream& stream, bool tls) {
        std::string problem;
        try {
            const auto began = Clock::now();
            if (tls && stream.start_tls(*tls_, "localhost", patience).has_error()) return "no TLS";
            hold(fiber, stream, began);
        } catch (const Unexpected& error) {
            problem = error.what();
        }
        return problem.empty() ? "well" : problem;
    }

    void hold(Fiber& fiber, Stream& stream, Clock::time_point began) {
        Talk talk(stream);
        const auto kind = random_() % 100;
        if (kind < 3) return stream.abort();  // without waiting for the greeting
        if (!talk.line().starts_with("+OK")) throw Unexpected("no greeting");
        if (kind < 6) {  // somebody lost, or looking around
            talk.ask("GET / HTTP/1.1");
            return stream.abort();
        }
        const auto& user = users_[random_() % users_.size()];
        if (kind < 8 && user.may_delete) {
            talk.demand("USER wrong" + std::to_string(random_() % 200));
            if (!talk.ask("PASS wrong").starts_with("-ERR [AUTH]")) throw Unexpected("let in");
            return stream.close(0ms);
        }
        if (kind < 16) return pipelined(talk, stream, user);
        talk.demand("USER " + user.name);
        const auto reply = talk.ask("PASS " + user.password);
        if (reply.starts_with("-ERR [IN-USE]")) throw Unexpected("in use");
        if (!reply.starts_with("+OK")) throw Unexpected(reply.substr(0, 60));
        tally_.login_us.push_back(since(began));
        if (kind < 50) {
            talk.demand("STAT");
            talk.demand("UIDL");
            talk.skip_lines();
        } else if (kind < 70) {
            drain(talk, user, kind < 60);
        } else if (kind < 80) {
            talk.demand("LIST");
            for (auto count = talk.skip_lines(); count > 0; --count) {
                talk.demand("TOP " + std::to_string(count) + " 3");
                talk.skip_lines();
            }
        } else if (kind < 92) {  // gone in the middle of something
            talk.send(kind < 86 ? "RETR 4\r\n" : "DELE 1\r\nRETR 1\r\nRETR 7\r\n");
            if (kind % 2 != 0) talk.line();
            return stream.abort();
        } else if (kind < 95) {
            talk.demand("RETR 4");
            talk.skip_lines(10ms, &fiber);
        } else if (kind < 97) {
            return talk.wait_for_end();  // asleep
        }
        talk.demand("QUIT");
        stream.close(0ms);
    }

    void drain(Talk& talk, const User& user, bool deletes) {
        talk.demand("LIST");
        const auto count = talk.skip_lines();
        for (std::size_t number = 1; number <= count; ++number) {
            const auto asked = Clock::now();
            talk.demand("RETR " + std::to_string(number));
            talk.skip_lines();
            tally_.message_us.push_back(since(asked));
            if (deletes && user.may_delete) talk.demand("DELE " + std::to_string(number));
        }
    }

    void pipelined(Talk& talk, Stream& stream, const User& user) {
        talk.send("USER " + user.name + "\r\nPASS " + user.password +
                  "\r\nSTAT\r\nRETR 1\r\nTOP 2 1\r\nNOOP\r\nQUIT\r\n");
        talk.line();
        if (talk.line().starts_with("-ERR [IN-USE]")) throw Unexpected("in use");
        talk.wait_for_end();
        stream.close(0ms);
    }

    static std::uint32_t since(Clock::time_point began) {
        return static_cast<std::uint32_t>(
            std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began).count());
    }

    boost::asio::io_context& context_;
    unsigned port_;
    unsigned tls_port_;
    std::vector<User> users_;
    std::shared_ptr<TlsClientContext> tls_;
    std::mt19937 random_;
    std::uint64_t left_ = 0;
    Tally tally_;
};

std::uint32_t percentile(std::vector<std::uint32_t>& values, std::size_t per_cent) {
    if (values.empty()) return 0;
    const auto at = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) * per_cent / 100);
    std::nth_element(values.begin(), at, values.end());
    return *at;
}

void print(Tally tally) {
    std::printf("{\"login_us\": [%u, %u], \"message_us\": [%u, %u], \"outcomes\": {", percentile(tally.login_us, 50),
                percentile(tally.login_us, 99), percentile(tally.message_us, 50), percentile(tally.message_us, 99));
    const char* comma = "";
    for (const auto& [outcome, count] : tally.outcomes) {
        std::printf("%s\"%s\": %llu", comma, outcome.c_str(), static_cast<unsigned long long>(count));
        comma = ", ";
    }
    std::printf("}}\n");
    std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> arguments(argv, argv + argc);
    std::vector<User> users;
    std::ifstream file(arguments.at(4));
    for (User user; file >> user.name >> user.password >> user.may_delete;) users.push_back(user);
    boost::asio::io_context context(1);
    Clients clients(context, static_cast<unsigned>(std::stoul(arguments.at(1))),
                    static_cast<unsigned>(std::stoul(arguments.at(2))), arguments.at(3), std::move(users));
    std::uint64_t sessions = 0;
    unsigned at_once = 0;
    unsigned seed = 0;
    while (std::cin >> sessions >> at_once >> seed) print(clients.phase(sessions, at_once, seed));
    return 0;
}
