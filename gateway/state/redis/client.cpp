#include "gateway/state/redis/client.hpp"

#include "gateway/net/tls.hpp"
#include "gateway/state/redis/connection.hpp"
#include "gateway/state/redis/protocol.hpp"
#include "gateway/state/redis/servers.hpp"

#include <openssl/evp.h>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <map>
#include <mutex>
#include <stdexcept>
#include <utility>

namespace popgate::redis {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr int most_attempts = 6;  // of one call, with servers that say where else to ask
constexpr auto longest_wait_for_replicas = 1000ms;
constexpr auto pause_without_replicas = 500ms;

bool says(const Reply& reply, std::string_view word) {
    return reply.is_error() && reply.text.starts_with(word) &&
           (reply.text.size() == word.size() || reply.text[word.size()] == ' ');
}

template <std::size_t count>
bool says_one_of(const Reply& reply, const std::string_view (&words)[count]) {
    // Servers before 7.0 put what a script ran into behind words of their own.
    const bool is_of_script = says(reply, "ERR") && reply.text.find("running script") != std::string::npos;
    return std::ranges::any_of(words, [&](std::string_view word) {
        return says(reply, word) ||
               (is_of_script && reply.text.find('-' + std::string(word) + ' ') != std::string::npos);
    });
}

/// The server is not what it was taken for.
bool is_another_server(const Reply& reply) {
    static constexpr std::string_view words[] = {"LOADING",     "READONLY", "MASTERDOWN",
                                                 "CLUSTERDOWN", "NOAUTH",   "WRONGPASS"};
    return says_one_of(reply, words);
}

/// It cannot do this now.
bool is_refusal(const Reply& reply) {
    static constexpr std::string_view words[] = {"TRYAGAIN", "NOPERM", "MISCONF", "OOM", "NOREPLICAS", "BUSY"};
    return says_one_of(reply, words);
}

Error no_answer(const std::string& server, const std::string& why) {
    return {Errc::temporary, "the state store is not available", server + ": " + why};
}

}  // namespace

Script::Script(std::string_view text) : text_(text) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned length = 0;
    if (EVP_Digest(text.data(), text.size(), digest.data(), &length, EVP_sha1(), nullptr) != 1)
        throw std::runtime_error("SHA-1 is not to be had");
    for (unsigned i = 0; i < length; ++i)
        for (const auto digit : {digest[i] >> 4, digest[i] & 15}) sha1_ += "0123456789abcdef"[digit];
}

std::string bucket_key(std::string_view prefix, unsigned bucket, std::string_view rest) {
    std::string key(prefix);
    key += ":{";
    for (const auto digit : {bucket >> 4 & 15, bucket & 15}) key += "0123456789abcdef"[digit];
    key += "}:";
    return key += rest;
}

namespace {

unsigned bucket_in(const std::string& key) {
    const auto open = key.find(":{");
    unsigned bucket = 0;
    if (open == key.npos || key.size() < open + 5 || std::sscanf(key.c_str() + open + 2, "%2x", &bucket) != 1)
        throw std::invalid_argument("a key without a bucket");
    return bucket;
}

}  // namespace

/// What one thread has of all clients: by the client's number, since a client may end before its loop does.
class Client::Threads final : public asio::execution_context::service {
public:
    static asio::execution_context::id id;
    explicit Threads(asio::execution_context& context) : service(context) {}

    std::map<std::uint64_t, std::unique_ptr<Servers>> servers;

private:
    void shutdown() noexcept override { servers.clear(); }
};
asio::execution_context::id Client::Threads::id;

struct Client::State {
    State(Address where, ClientOptions how) : address(std::move(where)), options(std::move(how)) {}

    Servers& servers_of(asio::io_context& context) const {
        auto& all = asio::use_service<Threads>(context).servers;
        auto& found = all[number];
        if (!found) found = std::make_unique<Servers>(address, options);
        return *found;
    }
    void note(std::string problem) const {
        const std::lock_guard guard(mutex);
        trouble = std::move(problem);
    }

    static std::uint64_t next_number() {
        static std::atomic<std::uint64_t> last = 0;
        return ++last;
    }

    const Address address;
    const ClientOptions options;
    const std::uint64_t number = next_number();
    mutable std::mutex mutex;
    mutable std::string trouble;
};

Client::Client(Address address, ClientOptions options)
    : state_(std::make_shared<State>(std::move(address), std::move(options))) {}
Client::~Client() = default;

std::string Client::trouble() const {
    const std::lock_guard guard(state_->mutex);
    return state_->trouble;
}

namespace {

Status load_scripts(Fiber& fiber, Connection& connection, const std::vector<std::size_t>& of,
                    const std::function<const Script*(std::size_t)>& script) {
    std::string loading;
    std::size_t loaded = 0;
    for (const auto i : of) {
        const auto* const each = script(i);
        if (!each) continue;
        loading += formatted(Command{"SCRIPT", "LOAD", std::string(each->text())});
        ++loaded;
    }
    const auto done = connection.ask(fiber, std::move(loading), loaded);
    return done ? Status() : Status(done.error());
}

}  // namespace

// `format(i, run id)` writes the i-th of `count` commands. Only those are sent again that were surely not done.
Result<std::vector<Reply>> Client::exchange(Fiber& fiber, unsigned bucket, std::size_t count, unsigned replicas,
                                            const Format& format,
                                            const std::function<const Script*(std::size_t)>& script) {
    // It may be dropped while this fiber waits.
    const auto state = state_;
    auto& servers = state->servers_of(fiber.context());
    std::vector<Reply> answers(count);
    std::vector<std::size_t> open(count);
    for (std::size_t i = 0; i < count; ++i) open[i] = i;
    const auto failed = [&](Error error) {
        if (!fiber.interrupted()) state->note(error.detail);
        return error;
    };
    std::string ask_at;
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        const bool is_asking = !ask_at.empty();
        const auto found = is_asking ? servers.at(fiber, std::exchange(ask_at, {})) : servers.of_bucket(fiber, bucket);
        if (!found) return failed(found.error());
        auto& connection = **found;
        // Each wait for replicas that are away would hold up what others ask on this connection.
        if (replicas > 0 && Clock::now() < connection.lacks_replicas_until)
            return failed(no_answer(connection.name(), "its replicas are away"));
        std::string commands;
        std::size_t expected = 0;
        for (const auto i : open) {
            if (is_asking) {
                commands += formatted(Command{"ASKING"});
                ++expected;
            }
            commands += format(i, connection.run_id);
            ++expected;
        }
        if (replicas > 0) {
            const auto patience =
                std::min<std::chrono::milliseconds>(state->options.call_timeout / 2, longest_wait_for_replicas);
            commands += formatted(Command{"WAIT", std::to_string(replicas), std::to_string(patience.count())});
            ++expected;
        }
        auto replies = connection.ask(fiber, std::move(commands), expected);
        if (!replies) return failed(replies.error());
        if (replicas > 0) {
            const auto& got = replies->back();
            const bool is_enough = got.kind == Reply::Kind::integer && got.integer >= std::int64_t{replicas};
            const bool is_refused = std::ranges::any_of(*replies, [](const Reply& each) { return each.is_error(); });
            if (!is_enough && !is_refused) {
                connection.lacks_replicas_until = Clock::now() + pause_without_replicas;
                // Its replicas may have another master by now, which the Sentinels know before it does.
                servers.look_again();
                return failed(no_answer(connection.name(), "only " + std::to_string(got.integer) + " of " +
                                                               std::to_string(replicas) + " replicas have it"));
            }
        }
        std::vector<std::size_t> again;
        std::string elsewhere;
        bool has_moved = false, lacks_scripts = false;
        for (std::size_t n = 0; n < open.size(); ++n) {
            auto& reply = (*replies)[is_asking ? 2 * n + 1 : n];
            if (is_another_server(reply) || is_refusal(reply)) {
                const auto error = no_answer(connection.name(), reply.text);
                if (is_another_server(reply)) servers.drop(connection, error.detail);
                return failed(error);
            }
            const bool lacks_script = says(reply, "NOSCRIPT");
            const bool is_moved = says(reply, "MOVED") || says(reply, "ASK");
            if (!lacks_script && !is_moved) {
                answers[open[n]] = std::move(reply);
                continue;
            }
            again.push_back(open[n]);
            lacks_scripts = lacks_scripts || lacks_script;
            has_moved = has_moved || says(reply, "MOVED");
            if (is_moved) elsewhere = servers.place_in(reply.text, connection);
        }
        if (again.empty()) {
            state->note({});
            return answers;
        }
        open = std::move(again);
        if (lacks_scripts)
            if (auto status = load_scripts(fiber, connection, open, script); !status) return failed(status.error());
        if (has_moved) servers.look_again();
        if (!elsewhere.empty() && !has_moved) ask_at = elsewhere;
    }
    return failed(no_answer("the cluster", "its servers do not agree on where a key is"));
}

Result<std::vector<Reply>> Client::run(Fiber& fiber, std::vector<Run> runs) {
    return run_replicated(fiber, std::move(runs), 0);
}

Result<Reply> Client::run(Fiber& fiber, Run run) {
    std::vector<Run> runs;
    runs.push_back(std::move(run));
    auto replies = run_replicated(fiber, std::move(runs), 0);
    if (!replies) return replies.error();
    auto reply = std::move(replies->front());
    return reply;
}

Result<std::vector<Reply>> Client::run_replicated(Fiber& fiber, std::vector<Run> runs, unsigned replicas) {
    if (runs.empty()) return std::vector<Reply>();
    return exchange(
        fiber, bucket_in(runs.front().keys.front()), runs.size(), replicas,
        [&](std::size_t i, const std::string& run_id) { return formatted(runs[i], run_id); },
        [&](std::size_t i) { return runs[i].script; });
}

Result<std::vector<Reply>> Client::call(Fiber& fiber, unsigned bucket, std::vector<Command> commands) {
    return exchange(
        fiber, bucket, commands.size(), 0, [&](std::size_t i, const std::string&) { return formatted(commands[i]); },
        [](std::size_t) { return nullptr; });
}

void Client::post(asio::io_context& context, const Run& run) {
    auto& servers = state_->servers_of(context);
    if (auto* const connection = servers.open_one(bucket_in(run.keys.front())))
        connection->post(formatted_whole(run, connection->run_id), 1);
}

}  // namespace popgate::redis
