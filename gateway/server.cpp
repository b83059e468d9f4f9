#include "gateway/server.hpp"

#include "gateway/config/endpoint.hpp"
#include "gateway/config/names.hpp"
#include "gateway/net/blocking_call.hpp"
#include "gateway/net/server_certificates.hpp"
#include "gateway/net/standby.hpp"
#include "gateway/net/ticket_keys.hpp"
#include "gateway/observe/log.hpp"
#include "gateway/observe/metrics.hpp"
#include "gateway/state/state_store.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <ctime>
#include <iterator>
#include <system_error>
#include <thread>
#include <utility>

namespace popgate {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using tcp = asio::ip::tcp;

namespace {

constexpr std::chrono::seconds first_look_at_tokens{60};  // after the start, which is busy enough
constexpr std::chrono::hours look_at_tokens_every{1};
constexpr std::chrono::seconds unsaved_every{10};  // tokens that could not be written
constexpr std::chrono::seconds history_every{10};
constexpr std::chrono::seconds farewell{10};
constexpr std::chrono::seconds web_patience{2};
constexpr std::chrono::seconds reload_limit{60};
constexpr std::chrono::seconds workers_patience{2};
constexpr std::chrono::days certificate_news{14};  // so long before its end it is worth a word
constexpr std::chrono::milliseconds look_for_traces_every{100};

// How often a draining process looks whether its last session has ended.
constexpr timespec drain_poll{0, 20'000'000};

Admission::Caps caps_of(const LimitsConfig& limits) {
    return {limits.max_sessions, limits.max_sessions_per_address, limits.stress_at};
}

std::string told(const std::vector<ConfigProblem>& problems) {
    std::string text;
    for (const auto& problem : problems)
        if (!problem.is_warning) text += (text.empty() ? "" : "\n") + problem.to_string();
    return text;
}

bool has_pam(const Config& config) {
    return std::ranges::any_of(config.routes, [](const RouteConfig& route) { return route.auth == ClientAuth::pam; });
}

timespec to_timespec(std::chrono::nanoseconds time) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
    return {seconds.count(), (time - seconds).count()};
}

}  // namespace

/// One core: its loop and its sessions.
struct Server::Worker {
    asio::io_context context{1};
    SessionSet sessions;
    std::vector<Fiber*> chores;  // fibers that belong to no session
    asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};  // until it drains
    std::atomic<std::uint64_t> beats{0};
    std::uint64_t beats_seen = 0;  // of the main thread

    Worker() { Standby::of(context).begin(); }
};

Server::Server(std::shared_ptr<const Config> config, std::function<LoadedConfig()> load,
               std::vector<PassedSocket> passed_sockets, StateStore& store)
    : load_(std::move(load)),
      store_(store),
      admission_(caps_of(config->limits)),
      builds_(store),
      passed_sockets_(std::move(passed_sockets)),
      admin_(*this, metrics_text, [this] { return traffic(history_); }) {
    auto first = std::make_shared<Generation>();
    first_config_ = config;
    first->config = std::move(config);
    generation_ = std::move(first);
}

Server::~Server() = default;

Status Server::start() {
    const auto config = generation()->config;
    const auto count =
        config->limits.workers ? config->limits.workers : std::max(1u, std::thread::hardware_concurrency());
    for (unsigned i = 0; i < count; ++i) workers_.push_back(std::make_unique<Worker>());
    auto made = make_generation(config);
    if (made.has_error()) return made.error();
    for (const auto& listen : config->listeners) {
        auto bound = bind(listen, **made);
        if (bound.has_error()) return bound.error();
        tell_of(*bound);
        bound_.push_back(std::move(*bound));
    }
    take_into_use(std::move(*made));
    if (config->enrolment.listen.empty() && config->admin.listen.empty()) return {};
    std::vector<web::BoundListener> addresses;
    for (const auto& each : bound_) addresses.emplace_back(each.config, each.endpoint);
    auto web = web::Web::open(
        config, [this] { return accounts(); }, generation()->tls, addresses,
        [this](Fiber& fiber, const web::Request& request) { return admin_.handle(fiber, request); });
    if (web.has_error()) return web.error();
    web_ = std::move(*web);
    return {};
}

Result<std::shared_ptr<Server::Generation>> Server::make_generation(std::shared_ptr<const Config> config) {
    const auto before = generation();
    auto made = std::make_shared<Generation>();
    made->config = std::move(config);
    auto certificates = load_certificates(*made->config);
    if (certificates.has_error()) return certificates.error();
    made->tls = before->tls;
    if (!made->tls.tickets) made->tls.tickets = std::make_shared<TicketKeys>();
    if (!made->tls.certificates || !*certificates)
        made->tls.certificates = std::move(*certificates);
    else
        made->read_certificates = std::move(*certificates);
    auto accounts = Accounts::make(*made->config, store_, before->accounts.get());
    if (accounts.has_error()) return accounts.error();
    made->accounts = std::move(*accounts);
    made->services.emplace(Services{*made->config, made->accounts->authenticator, account_sessions_, admission_,
                                    traces_, store_, builds_});
    return made;
}

Result<Server::Bound> Server::bind(const ListenConfig& listen, const Generation& generation) {
    Bound bound;
    bound.config = listen;
    const auto passed_name = passed_socket_name(listen.address);
    std::vector<const PassedSocket*> passed;
    for (const auto& each : passed_sockets_)
        if (passed_name == each.name) passed.push_back(&each);
    if (passed_name && passed.empty())
        return Error{Errc::permanent,
                     "cannot listen on " + listen.address + ": the service manager has passed no socket of that name",
                     {}};
    if (!passed_name) {
        const auto endpoint = parse_endpoint(listen.address);
        if (!endpoint) return Error{Errc::permanent, "cannot listen on " + listen.address + ": no such address", {}};
        if (auto status = check_address_is_free(*endpoint); status.has_error()) return status.error();
        bound.endpoint = *endpoint;
    }
    for (auto& worker : workers_) {
        for (std::size_t i = 0; i < std::max<std::size_t>(passed.size(), 1); ++i) {
            auto listener = std::make_unique<Listener>(worker->context, worker->sessions);
            auto status = passed_name ? listener->open_passed(passed[i]->descriptor) : listener->open(bound.endpoint);
            if (status.has_error()) return status.error();
            bound.endpoint = listener->local_endpoint();  // the port that the first one was given, for all
            bound.listeners.emplace_back(worker.get(), std::move(listener));
        }
    }
    auto info = make_listener_info(listen, *generation.config, generation.tls, to_string(bound.endpoint));
    if (info.has_error()) return info.error();
    bound.info = std::move(*info);
    return bound;
}

void Server::tell_of(const Bound& bound) {
    log(LogLevel::info, "listening",
        {{"address", bound.info->address}, {"tls", name_of(bound.config.tls, tls_mode_names)}});
}

/// Everybody who comes from now on is served by it. Under reload_mutex_, or before there is anybody.
void Server::take_into_use(std::shared_ptr<const Generation> next) {
    const auto& limits = next->config->limits;
    admission_.set_caps(caps_of(limits));
    metrics::max_sessions.set(limits.max_sessions);
    if (next->read_certificates) next->tls.certificates->replace_with(*next->read_certificates);
    const std::shared_ptr<const Services> services(next, &*next->services);
    std::vector<std::string> listening;
    for (auto& bound : bound_) {
        listening.push_back(bound.info->address + ' ' + std::string(name_of(bound.config.tls, tls_mode_names)) +
                            (bound.config.proxy_protocol ? " behind a proxy" : ""));
        for (auto& [worker, listener] : bound.listeners)
            asio::post(worker->context,
                       [each = listener.get(), serving = Serving{services, bound.info}] { each->serve_with(serving); });
    }
    // Connections that are held ready are of the routes of before.
    on_every_worker([](Worker& worker) { Standby::of(worker.context).let_go(); });
    next->accounts->authenticator.take_into_use();
    const std::lock_guard guard(generation_mutex_);
    generation_ = std::move(next);
    listening_ = std::move(listening);
    configured_ = std::chrono::system_clock::now();
    metrics::config_last_success.set(static_cast<double>(std::chrono::system_clock::to_time_t(configured_)));
}

std::shared_ptr<const Server::Generation> Server::generation() const {
    const std::lock_guard guard(generation_mutex_);
    return generation_;
}

std::shared_ptr<Accounts> Server::accounts() const {
    const auto now = generation();
    return {now, now->accounts.get()};
}

void Server::run(const sigset_t& signals) {
    std::atomic<std::size_t> running = workers_.size();
    std::vector<std::jthread> threads;
    metrics::set_node(node_name(first_config_->state));
    start_chore("state", [this](Fiber& fiber) { store_.keep_up(fiber, [this] { return admission_.sessions() > 0; }); });
    keep_tokens_alive();
    look_after_certificates();
    write_history();
    for (auto& bound : bound_)
        for (auto& [worker, listener] : bound.listeners)
            asio::post(worker->context, [each = listener.get()] { each->start(); });
    for (auto& each : workers_) {
        threads.emplace_back([&worker = *each, &running] {
            run_to_the_end(worker.context);
            --running;
        });
    }
    if (web_) web_->start();
    notify_ready();
    wait_for_the_end(signals);
    draining_ = true;
    metrics::draining.set(1);
    notify_stopping();
    log(LogLevel::info, "draining", {});
    builds_.stop();
    generation()->accounts->tokens.hurry();
    {
        const std::lock_guard guard(reload_mutex_);
        for (auto& bound : bound_)
            for (auto& [worker, listener] : bound.listeners)
                asio::post(worker->context, [each = listener.get()] { each->close(); });
    }
    on_every_worker([](Worker& worker) {
        for (auto* chore : worker.chores) chore->interrupt();
        Standby::of(worker.context).end();
        worker.work.reset();
    });
    const auto patience = Clock::now() + generation()->config->limits.drain_timeout;
    for (bool cut = false; running > 0;) {
        const bool ends_it = [&] {
            const int signal = sigtimedwait(&signals, nullptr, &drain_poll);
            if (signal == SIGUSR1 || signal == SIGHUP) reopen_log();
            return signal == SIGTERM || signal == SIGINT;
        }();
        if (cut || (!ends_it && Clock::now() < patience)) continue;
        cut = true;
        on_every_worker([](Worker& worker) { worker.sessions.interrupt_all(); });
    }
    if (web_) web_->stop(web_patience);
    log(LogLevel::info, "stopped", {});
}

// Returns when the acceptors are closed and the last session has ended, and not for an exception before.
void Server::run_to_the_end(asio::io_context& context) {
    for (;;) {
        try {
            context.run();
            return;
        } catch (const std::exception& error) {
            log(LogLevel::error, "worker_failed", {{"error", error.what()}});
        }
    }
}

// The end of a child, or a stop that is over, wakes this, too, and is no reason to end.
void Server::wait_for_the_end(const sigset_t& signals) {
    const auto interval = watchdog_interval();
    // A loop is heard of a tick after it was asked, and a signal may come between: so twice as often as need be.
    const auto tick = to_timespec(interval ? *interval / 2 : 24h);
    for (;;) {
        const int signal = sigtimedwait(&signals, nullptr, &tick);
        if (signal == SIGTERM || signal == SIGINT) return;
        if (interval) prove_alive();
        if (signal == SIGUSR1) reopen_log();
        if (signal == SIGHUP) reload_aside();
    }
}

// A file system or a name service that hangs must not keep the main thread from its signals and the watchdog.
void Server::reload_aside() {
    reopen_log();
    // One that is under way may have read the file before it was changed.
    if (reloads_wanted_.fetch_add(1) > 0) return log(LogLevel::info, "reload_waits", {{"text", "one is under way"}});
    try {
        std::thread([this] {
            unsigned wanted = 0;
            do {
                wanted = reloads_wanted_;
                notify_reloading();
                (void)reload_now();
                notify_ready();
            } while (reloads_wanted_.fetch_sub(wanted) != wanted);
        }).detach();
    } catch (const std::system_error& error) {
        reloads_wanted_ = 0;
        log(LogLevel::error, "reload_refused", {{"error", error.what()}});
    }
}

// The watchdog hears of the process only as long as each of its loops turns.
void Server::prove_alive() {
    bool all_turn = true;
    for (auto& worker : workers_) {
        const auto beats = worker->beats.load();
        all_turn = all_turn && beats != worker->beats_seen;
        worker->beats_seen = beats;
        asio::post(worker->context, [each = worker.get()] { ++each->beats; });
    }
    if (all_turn) notify_watchdog();
}

/// On a fiber of its own on the first worker, until the process drains.
void Server::start_chore(const char* name, std::function<void(Fiber&)> body) {
    auto& worker = *workers_.front();
    Fiber::start(
        worker.context,
        [&worker, body = std::move(body)](Fiber& fiber) {
            worker.chores.push_back(&fiber);
            struct Leave {
                Worker& worker;
                Fiber& fiber;
                ~Leave() { std::erase(worker.chores, &fiber); }
            } leave{worker, fiber};
            body(fiber);
        },
        [name](const std::exception& error) {
            log(LogLevel::error, "chore_failed", {{"chore", name}, {"error", error.what()}});
        });
}

// Refresh tokens that nobody uses die: looked after once an hour.
void Server::keep_tokens_alive() {
    start_chore("tokens", [this](Fiber& fiber) {
        const auto provider_of = [this](const std::string& user) {
            const auto now = accounts();
            const auto* route = now->router.find(user);
            return route ? route->provider : nullptr;
        };
        auto& tokens = generation()->accounts->tokens;
        for (auto next = Clock::now() + first_look_at_tokens; !fiber.interrupted();) {
            fiber.sleep_until(std::min(next, Clock::now() + unsaved_every));
            tokens.save_unsaved(fiber);
            if (fiber.interrupted()) break;
            if (Clock::now() < next) continue;
            const auto now = generation();
            const bool has_tokens = std::ranges::any_of(now->accounts->router.routes(),
                                                        [](const Route& route) { return route.provider != nullptr; });
            if (has_tokens) tokens.refresh_idle(fiber, provider_of);
            next = Clock::now() + look_at_tokens_every;
        }
        fiber.resume_waits();
        const Fiber::LimitScope limit(fiber, Clock::now() + farewell);
        tokens.save_unsaved(fiber);
    });
}

void Server::look_after_certificates() {
    start_chore("certificates", [this](Fiber& fiber) {
        while (!fiber.interrupted()) {
            const auto now = generation();
            if (const auto certificates = now->tls.certificates) {
                tell_of_certificates(*certificates);
                const auto changes = blocking_call(fiber, Clock::now() + reload_limit,
                                                   [certificates] { return certificates->refresh(); });
                for (const auto& change : changes.value_or(std::vector<ServerCertificates::Change>())) {
                    const bool is_good = change.problem.empty();
                    if (!is_good) metrics::certificate_reload_failures.add();
                    log(is_good ? LogLevel::info : LogLevel::error,
                        is_good ? "certificate_changed" : "certificate_refused",
                        {{"certificate", change.certificate}, {"error", change.problem}});
                }
            }
            fiber.sleep_until(Clock::now() + now->config->tls.check_every);
        }
    });
}

void Server::tell_of_certificates(const ServerCertificates& certificates) {
    std::vector<metrics::Certificate> told_of;
    for (const auto& each : certificates.expiries())
        told_of.push_back({each.name, std::chrono::system_clock::to_time_t(each.not_after)});
    metrics::set_certificates(std::move(told_of));
}

void Server::write_history() {
    start_chore("history", [this](Fiber& fiber) {
        while (!fiber.interrupted()) {
            history_.sample(std::chrono::system_clock::now());
            metrics::stress.set(admission_.under_stress() ? 1 : 0);
            metrics::traces.set(static_cast<double>(traces_.users_on()));
            fiber.sleep_until(Clock::now() + history_every);
        }
    });
}

Result<Server::Remarks> Server::reload_now() {
    const std::lock_guard one_at_a_time(loading_mutex_);
    auto outcome = [&]() -> Result<Remarks> {
        try {
            auto loaded = load_();
            if (!loaded.usable()) return Error{Errc::permanent, told(loaded.problems), {}};
            auto made = make_generation(std::make_shared<const Config>(std::move(loaded.config)));
            if (made.has_error()) return made.error();
            return take(std::move(*made), loaded.problems);
        } catch (const std::exception& error) {
            return Error{Errc::temporary, error.what(), {}};
        }
    }();
    metrics::config_reloads.add(outcome.has_error() ? metrics::Reload::refused : metrics::Reload::done);
    if (outcome.has_error()) {
        log(LogLevel::error, "reload_refused", {{"error", outcome.error().text}});
    } else {
        for (const auto& remark : *outcome) log(LogLevel::warning, "reload_remark", {{"text", remark}});
        log(LogLevel::info, "reloaded", {});
    }
    return outcome;
}

// Everything that can fail comes first: what fails leaves all as it was.
Result<Server::Remarks> Server::take(std::shared_ptr<Generation> made, const std::vector<ConfigProblem>& problems) {
    const std::lock_guard guard(reload_mutex_);
    if (draining_) return Error{Errc::permanent, "the server is shutting down", {}};
    const auto& next = *made;

    std::vector<const ListenConfig*> to_open;
    for (const auto& listen : next.config->listeners) to_open.push_back(&listen);
    std::vector<std::shared_ptr<const ListenerInfo>> infos;  // of what is bound and stays
    for (const auto& bound : bound_) {
        // Several may have one address, where the port is any; each goes on with one of them.
        const auto same = std::ranges::find(to_open, bound.config.address,
                                            [](const ListenConfig* listen) { return listen->address; });
        if (same == to_open.end()) {
            infos.push_back(nullptr);
            continue;
        }
        auto info = make_listener_info(**same, *next.config, next.tls, bound.info->address);
        if (info.has_error()) return info.error();
        infos.push_back(std::move(*info));
        to_open.erase(same);
    }
    std::vector<Bound> opened;
    for (const auto* listen : to_open) {
        auto bound = bind(*listen, next);
        if (bound.has_error()) return bound.error();
        opened.push_back(std::move(*bound));
    }
    if (auto status = set_up_log(next.config->log); status.has_error()) return status.error();

    auto remarks = differences_for_a_restart(*next.config);
    for (const auto& problem : problems) remarks.push_back(problem.to_string());
    std::vector<Bound> kept;
    for (std::size_t i = 0; i < bound_.size(); ++i) {
        if (infos[i]) {
            bound_[i].config = infos[i]->config;
            bound_[i].info = std::move(infos[i]);
            kept.push_back(std::move(bound_[i]));
            continue;
        }
        log(LogLevel::info, "no_longer_listening", {{"address", bound_[i].info->address}});
        for (auto& [worker, listener] : bound_[i].listeners) {
            asio::post(worker->context, [each = listener.get()] { each->close(); });
            closed_.push_back(std::move(listener));
        }
    }
    bound_ = std::move(kept);
    const auto first_new = bound_.size();
    for (const auto& bound : opened) tell_of(bound);
    std::ranges::move(opened, std::back_inserter(bound_));
    take_into_use(std::move(made));
    for (auto i = first_new; i < bound_.size(); ++i)
        for (auto& [worker, listener] : bound_[i].listeners)
            asio::post(worker->context, [each = listener.get()] { each->start(); });
    return remarks;
}

Server::Remarks Server::differences_for_a_restart(const Config& next) const {
    const auto& now = *first_config_;
    Remarks remarks;
    const auto compare = [&](const char* key, const auto& before, const auto& after) {
        if (before != after) remarks.push_back(std::string(key) + ": only a restart changes it");
    };
    auto state = next.state;
    state.reconcile_every = now.state.reconcile_every;
    state.lock_unavailable = now.state.lock_unavailable;
    compare(now.state.url != state.url ? "state.url" : "state", now.state, state);
    compare("secrets.key_file", now.secrets.key_file, next.secrets.key_file);
    compare("process.user", now.process.user, next.process.user);
    compare("limits.workers", now.limits.workers, next.limits.workers);
    compare("limits.blocking_threads", now.limits.blocking_threads, next.limits.blocking_threads);
    compare("login.sign_in_command", now.login.sign_in_command, next.login.sign_in_command);
    compare("admin.listen", now.admin.listen, next.admin.listen);
    compare("enrolment", now.enrolment, next.enrolment);
    // Whether programs that check passwords may be run was decided at the start.
    if (has_pam(next) && !has_pam(now)) remarks.push_back("route.auth = \"pam\": the first of them wants a restart");
    return remarks;
}

Result<std::vector<std::string>> Server::reload(Fiber& fiber) {
    auto outcome =
        blocking_call(fiber, Clock::now() + reload_limit, [this] { return std::make_optional(reload_now()); });
    if (!outcome || !*outcome) return Error{Errc::temporary, "the server is too busy", {}};
    return std::move(**outcome);
}

void Server::drain() { kill(getpid(), SIGTERM); }

bool Server::trace(const std::string& user, std::chrono::seconds time) {
    const bool was_on = traces_.wants(user, Clock::now());
    if (!traces_.set(user, time, Clock::now())) return false;
    if (was_on != (time > 0s)) log(LogLevel::info, was_on ? "trace_off" : "trace_on", {{"user", user}});
    return true;
}

std::vector<admin::MinuteOfTraffic> Server::traffic(const metrics::History& history) {
    std::vector<admin::MinuteOfTraffic> minutes;
    for (const auto& [begin, counts] : history.minutes())
        minutes.push_back({begin, counts.sessions, counts.logins_admitted, counts.logins_failed, counts.messages,
                           counts.octets_sent, counts.upstream_failures});
    return minutes;
}

std::vector<TraceLine> Server::trace_lines(Fiber& fiber, const std::string& user, std::uint64_t number,
                                           std::chrono::milliseconds patience) {
    const auto deadline = Clock::now() + patience;
    for (;;) {
        auto lines = traces_.lines(user, number);
        if (!lines.empty() || Clock::now() >= deadline || fiber.interrupted()) return lines;
        fiber.sleep_until(std::min(deadline, Clock::now() + look_for_traces_every));
    }
}

template <class Action>
void Server::on_every_worker(Action action) {
    for (auto& worker : workers_) asio::post(worker->context, [each = worker.get(), action] { action(*each); });
}

/// What `ask` gives on each worker, of all that answer in time.
template <class Part, class Ask>
std::vector<Part> Server::gather(Fiber& fiber, Ask ask) {
    struct Answers {
        std::vector<Part> parts;  // of the fiber's own thread, as all but `ask`
        std::size_t missing;
        Fiber* asker;
    };
    const auto answers = std::make_shared<Answers>(Answers{{}, workers_.size(), &fiber});
    for (auto& worker : workers_) {
        asio::post(worker->context, [each = worker.get(), ask, answers, &home = fiber.context()] {
            asio::post(home, [answers, part = ask(*each)]() mutable {
                answers->parts.push_back(std::move(part));
                if (--answers->missing == 0 && answers->asker) answers->asker->wake();
            });
        });
    }
    const auto deadline = Clock::now() + workers_patience;
    while (answers->missing > 0 && Clock::now() < deadline && !fiber.interrupted()) fiber.sleep_until(deadline);
    answers->asker = nullptr;
    return std::move(answers->parts);
}

std::vector<OpenSession> Server::sessions(Fiber& fiber) {
    std::vector<OpenSession> all;
    for (auto& part : gather<std::vector<OpenSession>>(fiber, [](Worker& worker) { return worker.sessions.list(); }))
        std::ranges::move(part, std::back_inserter(all));
    return all;
}

std::uint64_t Server::kick(Fiber& fiber, std::optional<std::uint64_t> id, const std::string& user) {
    std::uint64_t count = 0;
    for (const auto part :
         gather<std::size_t>(fiber, [id, user](Worker& worker) { return worker.sessions.kick(id, user); }))
        count += part;
    if (count > 0) log(LogLevel::info, "kicked", {{"user", user}, {"session", id.value_or(0)}, {"sessions", count}});
    return count;
}

ServerStatus Server::status(Fiber& fiber) {
    const auto now = generation();
    ServerStatus status;
    status.version = POPGATE_VERSION;
    status.started = started_;
    {
        const std::lock_guard guard(generation_mutex_);
        status.listeners = listening_;
        status.configured = configured_;
    }
    status.draining = draining_;
    status.under_stress = admission_.under_stress();
    status.sessions = admission_.sessions();
    status.max_sessions = now->config->limits.max_sessions;
    for (const auto& route : now->config->routes) status.routes.push_back(route.match + " → " + route.backend.url);
    status.troubles = troubles(fiber, *now);
    return status;
}

std::vector<Trouble> Server::troubles(Fiber& fiber, const Generation& now) {
    std::vector<Trouble> all;
    // Whoever hangs says nothing.
    if (!draining_ && gather<bool>(fiber, [](Worker&) { return true; }).size() < workers_.size())
        all.push_back({"some of the threads that carry sessions do not answer", {}, true});
    const bool goes_on_without = now.config->state.lock_unavailable == WithoutLock::read_only;
    if (auto impairment = store_.impairment(); !impairment.empty())
        all.push_back({"what is remembered of mailboxes cannot be kept", std::move(impairment), !goes_on_without});
    if (now.tls.certificates) {
        for (const auto& problem : now.tls.certificates->problems())
            all.push_back({"a certificate could not be renewed: " + problem.certificate, problem.problem, false});
        for (const auto& each : now.tls.certificates->expiries()) {
            const auto left = each.not_after - std::chrono::system_clock::now();
            if (left > certificate_news) continue;
            const bool is_over = left <= left.zero();
            const auto days = std::chrono::duration_cast<std::chrono::days>(left).count();
            all.push_back({"the certificate of " + each.name + (is_over ? " has expired" : " expires"),
                           is_over ? std::string() : "in " + std::to_string(days) + " days", false});
        }
    }
    if (admission_.under_stress())
        all.push_back({"many sessions: clients that have not logged in are given less time",
                       std::to_string(admission_.sessions()) + " of " + std::to_string(now.config->limits.max_sessions),
                       false});
    for (const auto& fault : now.accounts->keeping->logins.upstreams.faults(std::chrono::system_clock::now()))
        all.push_back(
            {"logins fail at " + fault.upstream + ", " + std::to_string(fault.logins) + " so far", fault.text, false});
    return all;
}

}  // namespace popgate
