// Plays mail programs, as fast as the server lets it, and tells how long that took, as one line of JSON.
#include "tests/bench/mail_client.hpp"

#include <sys/resource.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <iostream>
#include <map>
#include <mutex>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <vector>

namespace popgate::bench {
namespace {

enum class Play { login, open, poll, drain, take, big, hold, stall };

struct Options {
    bool imap = false;
    std::string host = "127.0.0.1";
    std::uint16_t port = 0;
    std::string ca_file;  // TLS if there is one
    bool resume = false;
    std::string user = "user-%";
    std::string password;
    Play play = Play::login;
    std::size_t clients = 1;
    std::size_t sessions = 1;
    std::size_t first = 0;
    std::uint64_t window = 1;
    std::uint64_t messages = 0;
    std::optional<std::uint64_t> expected;
};

struct Figures {
    Amount amount;
    std::uint64_t sessions = 0;
    std::uint64_t resumed = 0;
    std::vector<double> session_ms;
    std::vector<double> first_octet_ms;

    void add(const Figures& other) {
        amount.messages += other.amount.messages;
        amount.octets += other.amount.octets;
        sessions += other.sessions;
        resumed += other.resumed;
        session_ms.insert(session_ms.end(), other.session_ms.begin(), other.session_ms.end());
        first_octet_ms.insert(first_octet_ms.end(), other.first_octet_ms.begin(), other.first_octet_ms.end());
    }
};

double milliseconds_since(Clock::time_point began) {
    return std::chrono::duration<double, std::milli>(Clock::now() - began).count();
}

/// Of ascending values; 0 of none.
double quantile(const std::vector<double>& sorted, double part) {
    if (sorted.empty()) return 0;
    return sorted[std::min(sorted.size() - 1, static_cast<std::size_t>(part * static_cast<double>(sorted.size())))];
}

double own_cpu_seconds() {
    rusage used{};
    getrusage(RUSAGE_SELF, &used);
    const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
    };
    return seconds(used.ru_utime) + seconds(used.ru_stime);
}

class Load {
public:
    explicit Load(const Options& options)
        : options_(options), stays_(options.play == Play::hold || options.play == Play::stall) {}

    Figures run() {
        std::vector<std::thread> threads;
        for (std::size_t client = 0; client < options_.clients; ++client) {
            threads.emplace_back([this, client] { play_client(client); });
        }
        for (auto& each : threads) each.join();
        return total_;
    }

private:
    /// Sessions one after another, until there have been enough of them.
    void play_client(std::size_t client) {
        try {
            Figures figures;
            std::optional<TlsClient> tls;
            if (!options_.ca_file.empty()) tls.emplace(options_.ca_file, options_.resume);
            std::vector<std::unique_ptr<MailClient>> held;
            for (;;) {
                const auto session = begun_.fetch_add(1);
                if (session >= options_.sessions) break;
                const auto began = Clock::now();
                auto open = connect(tls ? &*tls : nullptr, options_.first + (stays_ ? session : client));
                play_session(*open, figures);
                if (stays_) {
                    held.push_back(std::move(open));
                } else {
                    open->quit();
                    open.reset();
                    figures.session_ms.push_back(milliseconds_since(began));
                }
                ++figures.sessions;
            }
            if (tls) figures.resumed = tls->resumed();
            if (stays_) wait_for_end();
            if (options_.play == Play::hold) {
                for (auto& each : held) each->noop();
                for (auto& each : held) each->quit();
            }
            const std::lock_guard lock(mutex_);
            total_.add(figures);
        } catch (const std::exception& problem) {
            // One failure makes the whole run worthless, and others may be waiting for something that never comes.
            std::cerr << "load: " << problem.what() << std::endl;
            std::_Exit(1);
        }
    }

    std::unique_ptr<MailClient> connect(TlsClient* tls, std::size_t who) const {
        const int receive_buffer = options_.play == Play::stall ? 4096 : 0;
        auto wire = std::make_unique<Wire>(options_.host, options_.port, tls, receive_buffer);
        auto client = options_.imap ? make_imap_client(std::move(wire)) : make_pop3_client(std::move(wire));
        auto user = options_.user;
        if (const auto place = user.find('%'); place != std::string::npos) user.replace(place, 1, std::to_string(who));
        client->log_in(user, options_.password);
        return client;
    }

    void play_session(MailClient& client, Figures& figures) const {
        if (options_.play == Play::login || options_.play == Play::hold) return;
        if (options_.play == Play::open) {
            figures.amount.messages += expected(client.open_listing());
            return;
        }
        const auto all = client.stat();
        expected(all.messages);
        const auto last = options_.messages == 0 ? all.messages : std::min(all.messages, options_.messages);
        if (options_.play == Play::poll) {
            const auto listed = client.list();
            if (listed != all.messages) throw std::runtime_error("STAT and UIDL disagree");
            figures.amount.messages += listed;
            return;
        }
        Amount got;
        if (options_.play == Play::drain) got = client.retrieve(last, options_.window);
        if (options_.play == Play::take) got = client.take(last);
        if (options_.play == Play::big || options_.play == Play::stall) {
            figures.first_octet_ms.push_back(client.begin_first());
            if (options_.play == Play::stall) return;
            got = {1, client.finish_first()};
        }
        if (last == all.messages && options_.play != Play::big && all.octets != 0 && got.octets != all.octets) {
            throw std::runtime_error("STAT said " + std::to_string(all.octets) + " octets, there were " +
                                     std::to_string(got.octets));
        }
        figures.amount.messages += got.messages;
        figures.amount.octets += got.octets;
    }

    std::uint64_t expected(std::uint64_t messages) const {
        if (options_.expected && messages != *options_.expected) {
            throw std::runtime_error("there are " + std::to_string(messages) + " messages, not " +
                                     std::to_string(*options_.expected));
        }
        return messages;
    }

    /// The last client that has all its sessions says so; then all wait for the end of standard input.
    void wait_for_end() {
        if (arrived_.fetch_add(1) + 1 == options_.clients) std::cout << "{\"ready\": true}\n" << std::flush;
        const std::lock_guard lock(input_);
        while (std::cin.get() != std::istream::traits_type::eof()) {
        }
    }

    const Options& options_;
    const bool stays_;  // sessions are kept until we are told to end
    std::atomic<std::size_t> begun_ = 0;
    std::atomic<std::size_t> arrived_ = 0;
    std::mutex mutex_;
    std::mutex input_;
    Figures total_;
};

std::string quantiles(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    std::ostringstream text;
    text << "{\"p50\": " << quantile(values, 0.5) << ", \"p99\": " << quantile(values, 0.99)
         << ", \"max\": " << (values.empty() ? 0 : values.back()) << "}";
    return text.str();
}

int load_main(int argc, char** argv) {
    Options options;
    CLI::App app{"Plays mail programs and tells how long that took"};
    app.add_flag("--imap", options.imap, "speak IMAP instead of POP3");
    app.add_option("--host", options.host);
    app.add_option("--port", options.port)->required();
    app.add_option("--tls", options.ca_file, "TLS, trusting this authority (PEM)");
    app.add_flag("--resume", options.resume, "resume TLS sessions");
    app.add_option("--user", options.user, "% stands for the client's number; with hold and stall for the session's");
    app.add_option("--password", options.password)->required();
    const std::map<std::string, Play> plays{{"login", Play::login}, {"open", Play::open},  {"poll", Play::poll},
                                            {"drain", Play::drain}, {"take", Play::take},  {"big", Play::big},
                                            {"hold", Play::hold},   {"stall", Play::stall}};
    app.add_option("play", options.play)->required()->transform(CLI::CheckedTransformer(plays));
    app.add_option("--clients", options.clients, "that work at one time")->check(CLI::Range(1, 1000));
    app.add_option("--sessions", options.sessions, "of all clients together")->check(CLI::Range(1, 10'000'000));
    app.add_option("--first", options.first, "the number of the first client or session");
    app.add_option("--window", options.window, "requests under way, 0 for all");
    app.add_option("--messages", options.messages, "retrieve so many, 0 for all");
    app.add_option("--expect", options.expected, "messages that there must be");
    CLI11_PARSE(app, argc, argv);
    options.clients = std::min(options.clients, options.sessions);

    const auto began = Clock::now();
    const auto figures = Load(options).run();
    std::cout << "{\"seconds\": " << milliseconds_since(began) / 1000 << ", \"sessions\": " << figures.sessions
              << ", \"messages\": " << figures.amount.messages << ", \"octets\": " << figures.amount.octets
              << ", \"resumed\": " << figures.resumed << ", \"session_ms\": " << quantiles(figures.session_ms)
              << ", \"first_octet_ms\": " << quantiles(figures.first_octet_ms) << ", \"own_cpu\": " << own_cpu_seconds()
              << "}" << std::endl;
    return 0;
}

}  // namespace
}  // namespace popgate::bench

int main(int argc, char** argv) { return popgate::bench::load_main(argc, argv); }
