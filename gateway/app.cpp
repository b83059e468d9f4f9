#include "gateway/app.hpp"

#include "gateway/accounts/accounts.hpp"
#include "gateway/accounts/maildrop_locks.hpp"
#include "gateway/config/endpoint.hpp"
#include "gateway/config/names.hpp"
#include "gateway/index/index_builder.hpp"
#include "gateway/net/admission.hpp"
#include "gateway/net/blocking_call.hpp"
#include "gateway/net/listener.hpp"
#include "gateway/net/server_certificates.hpp"
#include "gateway/net/ticket_keys.hpp"
#include "gateway/net/tls.hpp"
#include "gateway/observe/log.hpp"
#include "gateway/observe/metrics.hpp"
#include "gateway/state/state_store.hpp"
#include "gateway/web/web.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <openssl/ssl.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

namespace popgate {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

namespace {

// Password checks, or name look-ups, that wait or run at once: past that a login is told that the server is busy.
constexpr std::size_t login_queue = 1000;

constexpr std::chrono::seconds first_housekeeping{60};  // after the start, which is busy enough
constexpr std::chrono::hours housekeeping_every{1};
constexpr std::chrono::seconds farewell{10};
constexpr std::chrono::seconds unsaved_every{10};  // tokens that could not be written
constexpr std::chrono::seconds web_patience{2};

// How often a draining process looks whether its last session has ended.
constexpr timespec drain_poll{0, 20'000'000};

/// One core: its loop, its acceptors and their sessions.
struct Worker {
    asio::io_context context{1};
    SessionSet sessions;
    std::vector<std::unique_ptr<Listener>> listeners;
    Fiber* housekeeping = nullptr;  // once it runs
};

TlsProtocol protocol_of(TlsVersion version) {
    switch (version) {
        case TlsVersion::tls1_0: return TLS1_VERSION;
        case TlsVersion::tls1_1: return TLS1_1_VERSION;
        case TlsVersion::tls1_2: return TLS1_2_VERSION;
        case TlsVersion::tls1_3: break;
    }
    return TLS1_3_VERSION;
}

// Two descriptors a session: the soft limit is for programs that use select().
void raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

// A fiber's stack and its guard page are a memory map each; libraries need some thousands.
void warn_of_few_memory_maps(std::uint64_t sessions) {
    std::uint64_t maps = 0;
    std::ifstream("/proc/sys/vm/max_map_count") >> maps;
    if (maps == 0 || 2 * sessions + 5000 <= maps) return;
    log(LogLevel::warning, "config",
        {{"key", "limits.max_sessions"},
         {"text", "the kernel allows fewer stacks than that: raise vm.max_map_count"},
         {"vm.max_map_count", maps}});
}

/// The least that holds for anybody, and whether it holds for everybody (RFC 2449 §6.7).
pop3::Expiry expiry_before_login(const Config& config) {
    std::optional<std::chrono::milliseconds> least;
    bool varies = false;
    const auto consider = [&](const std::optional<std::chrono::milliseconds>& limit) {
        varies = varies || limit != least;
        if (limit && (!least || *limit < *least)) least = limit;
    };
    for (std::size_t i = 0; i < config.routes.size(); ++i) {
        if (i == 0) least = config.routes[0].policy.expire_after;
        consider(config.routes[i].policy.expire_after);
    }
    for (const auto& account : config.accounts) {
        if (!account.expire_after) continue;
        const bool never = *account.expire_after == std::chrono::milliseconds::zero();
        consider(never ? std::nullopt : account.expire_after);
    }
    auto expiry = pop3::expiry_of(least);
    expiry.depends_on_user = varies && least;
    return expiry;
}

/// What clients are offered: no mechanism that no route would take.
pop3::Policy logins_on(const ListenConfig& listen, const Config& config) {
    const auto any_route = [&](ClientAuth auth) {
        return std::ranges::any_of(config.routes, [&](const RouteConfig& route) { return route.auth == auth; });
    };
    pop3::Policy policy;
    policy.passwords =
        !std::ranges::all_of(config.routes, [](const RouteConfig& route) { return route.auth == ClientAuth::oauth; });
    policy.tokens = any_route(ClientAuth::oauth);
    policy.certificates = any_route(ClientAuth::certificate);
    policy.apop = listen.apop;
    policy.cram_md5 = listen.cram_md5;
    return policy;
}

class App {
public:
    App(const Config& config, std::unique_ptr<StateStore> store)
        : config_(config),
          store_(std::move(store)),
          admission_(config.limits.max_sessions, config.limits.max_sessions_per_address) {}

    Status start() {
        auto accounts = Accounts::make(config_, *store_);
        if (accounts.has_error()) return accounts.error();
        accounts_ = std::move(*accounts);
        services_.emplace(Services{config_, accounts_->authenticator, locks_, *store_, builds_});
        const auto count =
            config_.limits.workers ? config_.limits.workers : std::max(1u, std::thread::hardware_concurrency());
        for (unsigned i = 0; i < count; ++i) workers_.push_back(std::make_unique<Worker>());
        for (const auto& listen : config_.listeners)
            if (auto status = open_listener(listen); status.has_error()) return status;
        if (config_.enrolment.listen.empty() && config_.admin.listen.empty()) return {};
        auto web = web::Web::open(config_, *accounts_, bound_, metrics_text);
        if (web.has_error()) return web.error();
        web_ = std::move(*web);
        return {};
    }

    /// Serves until a signal of `signals`, which every thread has blocked.
    void run(const sigset_t& signals) {
        std::atomic<std::size_t> running = workers_.size();
        std::vector<std::jthread> threads;
        if (web_) web_->start();
        keep_tokens_alive(*workers_.front());
        for (auto& each : workers_) {
            threads.emplace_back([&worker = *each, &running] {
                for (auto& listener : worker.listeners) listener->start();
                run_to_the_end(worker.context);
                --running;
            });
        }
        // The end of a child, or a stop that is over, wakes this, too, and is no reason to end.
        while (sigwaitinfo(&signals, nullptr) < 0 && errno == EINTR) {
        }
        log(LogLevel::info, "draining", {});
        builds_.stop();
        if (web_) web_->stop(web_patience);
        accounts_->tokens.hurry();
        on_every_worker([](Worker& worker) {
            if (worker.housekeeping) worker.housekeeping->interrupt();
        });
        on_every_worker([](Worker& worker) {
            for (auto& listener : worker.listeners) listener->close();
        });
        const auto patience = Clock::now() + config_.limits.drain_timeout;
        for (bool cut = false; running > 0;) {
            const bool signalled = sigtimedwait(&signals, nullptr, &drain_poll) > 0;
            if (cut || (!signalled && Clock::now() < patience)) continue;
            cut = true;
            on_every_worker([](Worker& worker) { worker.sessions.interrupt_all(); });
        }
        log(LogLevel::info, "stopped", {});
    }

private:
    // Returns when the acceptors are closed and the last session has ended, and not for an exception before.
    static void run_to_the_end(asio::io_context& context) {
        for (;;) {
            try {
                context.run();
                return;
            } catch (const std::exception& error) {
                log(LogLevel::error, "worker_failed", {{"error", error.what()}});
            }
        }
    }

    /// Refresh tokens that nobody uses die: looked after once an hour, on a fiber of its own, until the process drains.
    void keep_tokens_alive(Worker& worker) {
        const bool has_tokens = std::ranges::any_of(accounts_->router.routes(),
                                                    [](const Route& route) { return route.provider != nullptr; });
        if (!has_tokens) return;
        Fiber::start(
            worker.context,
            [this, &worker](Fiber& fiber) {
                worker.housekeeping = &fiber;
                const auto provider_of = [this](const std::string& user) {
                    const auto* route = accounts_->router.find(user);
                    return route ? route->provider : nullptr;
                };
                for (auto next = Clock::now() + first_housekeeping; !fiber.interrupted();) {
                    fiber.sleep_until(std::min(next, Clock::now() + unsaved_every));
                    accounts_->tokens.save_unsaved(fiber);
                    if (fiber.interrupted()) break;
                    if (Clock::now() < next) continue;
                    accounts_->tokens.refresh_idle(fiber, provider_of);
                    next = Clock::now() + housekeeping_every;
                }
                worker.housekeeping = nullptr;  // nobody interrupts it any more
                fiber.resume_waits();
                const Fiber::LimitScope limit(fiber, Clock::now() + farewell);
                accounts_->tokens.save_unsaved(fiber);
            },
            [&worker](const std::exception& error) {
                worker.housekeeping = nullptr;
                log(LogLevel::error, "housekeeping_failed", {{"error", error.what()}});
            });
    }

    Status open_listener(const ListenConfig& listen) {
        auto endpoint = parse_endpoint(listen.address);
        if (!endpoint) return Error{Errc::permanent, "cannot listen on " + listen.address + ": no such address", {}};
        if (auto status = check_address_is_free(*endpoint); status.has_error()) return status;
        auto info = std::make_shared<ListenerInfo>();
        info->config = listen;
        info->expiry = expiry_before_login(config_);
        info->logins = logins_on(listen, config_);
        auto trusted = Networks::parse(listen.rpop_from);
        if (trusted.has_error()) return trusted.error();
        info->rpop_from = std::move(*trusted);
        if (listen.tls != TlsMode::none) {
            if (!certificates_) {
                auto loaded = ServerCertificates::load(certificate_files(config_));
                if (loaded.has_error()) return loaded.error();
                certificates_ = std::move(*loaded);
            }
            auto tls = TlsServerContext::make(certificates_, protocol_of(listen.min_tls), Application::pop3,
                                              {.asked_for = listen.client_certificates != ClientCertificates::off,
                                               .required = listen.client_certificates == ClientCertificates::required,
                                               .ca_file = listen.client_ca_file},
                                              tickets_);
            if (tls.has_error()) return tls.error();
            info->tls = std::move(*tls);
        }
        for (auto& worker : workers_) {
            auto listener = std::make_unique<Listener>(worker->context, *services_, info, admission_, worker->sessions);
            if (auto status = listener->open(*endpoint); status.has_error()) return status;
            *endpoint = listener->local_endpoint();  // the port that the first one was given, for all
            worker->listeners.push_back(std::move(listener));
        }
        info->address = to_string(*endpoint);
        bound_.emplace_back(listen, *endpoint);
        log(LogLevel::info, "listening", {{"address", info->address}, {"tls", name_of(listen.tls, tls_mode_names)}});
        return {};
    }

    void on_every_worker(void (*action)(Worker&)) {
        for (auto& worker : workers_) asio::post(worker->context, [&each = *worker, action] { action(each); });
    }

    const Config& config_;
    std::unique_ptr<StateStore> store_;
    std::unique_ptr<Accounts> accounts_;
    MaildropLocks locks_;
    IndexBuilds builds_{*store_};
    std::optional<Services> services_;
    Admission admission_;
    std::shared_ptr<ServerCertificates> certificates_;
    std::shared_ptr<TicketKeys> tickets_ = std::make_shared<TicketKeys>();
    std::vector<std::unique_ptr<Worker>> workers_;
    std::vector<web::BoundListener> bound_;
    std::unique_ptr<web::Web> web_;
};

}  // namespace

int run_gateway(const Config& config) {
    std::signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);

    warn_of_few_memory_maps(config.limits.max_sessions);
    auto store = open_state_store(config.state.url);
    if (store.has_error()) {
        log(LogLevel::error, "start_failed", {{"error", store.error().text}});
        return 1;
    }
    App app(config, std::move(*store));
    // They end before the loops that they wake. Reading is part of sessions that are admitted already: never refused.
    BlockingPool files(config.limits.blocking_threads, SIZE_MAX);
    BlockingPool passwords(config.limits.blocking_threads, login_queue);
    BlockingPool names(config.limits.blocking_threads, login_queue);
    BlockingPool state(config.limits.blocking_threads, SIZE_MAX);
    set_blocking_pool(Blocking::files, &files);
    set_blocking_pool(Blocking::passwords, &passwords);
    set_blocking_pool(Blocking::names, &names);
    set_blocking_pool(Blocking::state, &state);
    if (auto status = app.start(); status.has_error()) {
        log(LogLevel::error, "start_failed", {{"error", status.error().text}});
        return 1;
    }
    app.run(signals);
    // Every session has ended; a name server or a file system that hangs must not hold up the end.
    if (!files.idle() || !passwords.idle() || !names.idle() || !state.idle()) std::_Exit(0);
    return 0;
}

}  // namespace popgate
