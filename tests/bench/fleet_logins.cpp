// What the logins of a fleet ask of a shared state store, without clients and upstreams: `fleet` runs it and looks at
// the Redis meanwhile. Prints "filled" when the mailboxes are stored, waits for a line, logs in, and prints a line of
// JSON.

#include "gateway/config/config.hpp"
#include "gateway/net/blocking_call.hpp"
#include "gateway/net/fiber.hpp"
#include "gateway/state/state_store.hpp"

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <iostream>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace popgate;

struct Options {
    std::string url;
    unsigned nodes = 2;
    unsigned fibers = 16;  // of each node
    std::uint32_t mailboxes = 1000;
    std::uint32_t messages = 50;
    std::uint32_t logins = 20'000;
    std::uint32_t changed_percent = 10;
    std::uint32_t cache = 64 * 1024 * 1024;
};

void demand(bool holds, const char* what) {
    if (!holds) throw std::runtime_error(what);
}

std::string mailbox_name(std::uint32_t number) {
    return "imap://mail.example/user" + std::to_string(number) + "@example.com";
}

StoredMessage message(std::uint32_t number) {
    StoredMessage made;
    made.number = number;
    made.info.id = std::to_string(number + 1000);
    made.info.octets = 20'000 + number * 37 % 100'000;
    made.info.octets_are_exact = true;
    made.info.arrival = 1'700'000'000 + number * 600;
    made.first_seen = made.info.arrival + 300;
    return made;
}

void fill(Fiber& fiber, StateStore& store, const Options& options, std::uint32_t first, std::uint32_t step) {
    for (auto number = first; number < options.mailboxes; number += step) {
        MailboxChange change;
        change.head.emplace();
        change.head->state =
            "1700000000 " + std::to_string(options.messages + 1) + " " + std::to_string(options.messages);
        change.head->generation = "1700000000";
        change.head->next_number = options.messages + 1;
        for (std::uint32_t i = 1; i <= options.messages; ++i) change.added.push_back(message(i));
        const auto saved = store.save(fiber, mailbox_name(number), std::move(change));
        demand(saved && *saved, "a mailbox could not be stored");
    }
}

/// A message has come, and the oldest is retrieved and removed.
void change(Fiber& fiber, StateStore& store, const std::string& mailbox, StoredMailbox stored) {
    MailboxChange change;
    const auto oldest = stored.messages.front().number;
    change.added.push_back(message(stored.head.next_number));
    change.removed = {oldest};
    change.head = std::move(stored.head);
    ++change.head->next_number;
    demand(store.save(fiber, mailbox, std::move(change)).has_value(), "a mailbox could not be changed");
}

void log_in(Fiber& fiber, StateStore& store, const std::string& mailbox, bool has_changed) {
    if (auto* const throttles = store.shared_throttles())
        demand(throttles->look(fiber, mailbox).has_value(), "no throttle");
    auto answer = store.hold_maildrop(fiber, mailbox);
    demand(answer.has_value(), "no lock");
    if (!answer->hold) return;  // another fiber's, just now
    auto stored = store.load(fiber, mailbox);
    demand(stored && !stored->messages.empty(), "no mailbox");
    if (has_changed) change(fiber, store, mailbox, std::move(*stored));
    answer->hold->release(fiber);
}

/// Runs `body` on so many fibers of each node, a thread and a store of its own each. Gives how long that took.
double on_nodes(const std::vector<std::unique_ptr<StateStore>>& nodes, unsigned fibers,
                const std::function<void(Fiber&, StateStore&, unsigned)>& body) {
    const auto begun = std::chrono::steady_clock::now();
    std::vector<std::thread> threads;
    std::atomic<bool> has_failed = false;
    for (unsigned node = 0; node < nodes.size(); ++node)
        threads.emplace_back([&, node] {
            boost::asio::io_context context(1);
            for (unsigned i = 0; i < fibers; ++i)
                Fiber::start(
                    context, [&, number = node * fibers + i](Fiber& fiber) { body(fiber, *nodes[node], number); },
                    [&](const std::exception& error) {
                        if (!has_failed.exchange(true)) std::cerr << "fleet_logins: " << error.what() << '\n';
                    });
            context.run();
        });
    for (auto& thread : threads) thread.join();
    if (has_failed) std::exit(1);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("What the logins of a fleet ask of a shared state store");
    app.add_option("--url", options.url)->required();
    app.add_option("--nodes", options.nodes);
    app.add_option("--fibers", options.fibers);
    app.add_option("--mailboxes", options.mailboxes);
    app.add_option("--messages", options.messages);
    app.add_option("--logins", options.logins);
    app.add_option("--changed-percent", options.changed_percent);
    app.add_option("--cache", options.cache);
    CLI11_PARSE(app, argc, argv);

    BlockingPool pool(2, 1'000'000);
    for (const auto kind : {Blocking::names, Blocking::state}) set_blocking_pool(kind, &pool);
    std::vector<std::unique_ptr<StateStore>> nodes;
    for (unsigned i = 0; i < options.nodes; ++i) {
        StateConfig config;
        config.url = options.url;
        config.node = "node" + std::to_string(i);
        config.lock_expiry = std::chrono::seconds(2);  // what a new Redis waits for before it locks anything
        config.cache = options.cache;
        auto store = open_state_store(config);
        demand(store.has_value(), "no store");
        nodes.push_back(std::move(*store));
    }
    const auto fibers = options.nodes * options.fibers;
    on_nodes(nodes, options.fibers,
             [&](Fiber& fiber, StateStore& store, unsigned number) { fill(fiber, store, options, number, fibers); });
    std::cout << "filled" << std::endl;
    std::string line;
    std::getline(std::cin, line);

    std::atomic<std::uint32_t> done = 0;
    const auto seconds = on_nodes(nodes, options.fibers, [&](Fiber& fiber, StateStore& store, unsigned number) {
        std::minstd_rand numbers(number + 1);
        while (done++ < options.logins) {
            const auto mailbox = mailbox_name(static_cast<std::uint32_t>(numbers()) % options.mailboxes);
            log_in(fiber, store, mailbox, numbers() % 100 < options.changed_percent);
        }
    });
    std::cout << R"({"logins": )" << options.logins << R"(, "seconds": )" << seconds << "}" << std::endl;
    set_blocking_pool(Blocking::names, nullptr);
    set_blocking_pool(Blocking::state, nullptr);
}
