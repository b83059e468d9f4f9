#pragma once

#include "gateway/accounts/account_sessions.hpp"
#include "gateway/accounts/accounts.hpp"
#include "gateway/admin/admin.hpp"
#include "gateway/admin/control.hpp"
#include "gateway/config/config.hpp"
#include "gateway/index/index_builder.hpp"
#include "gateway/listening.hpp"
#include "gateway/net/admission.hpp"
#include "gateway/net/listener.hpp"
#include "gateway/observe/history.hpp"
#include "gateway/observe/traces.hpp"
#include "gateway/process/systemd.hpp"
#include "gateway/web/web.hpp"

#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace popgate {

class StateStore;

/// The daemon between its start and its end: one loop and one thread a core, listeners, and what a configuration says,
/// which a reload replaces as a whole; sessions keep the one that they began with.
class Server final : public Control {
public:
    /// `load`: reads the configuration anew. `store` outlives it.
    Server(std::shared_ptr<const Config> config, std::function<LoadedConfig()> load,
           std::vector<PassedSocket> passed_sockets, StateStore& store);
    ~Server() override;

    /// Opens every listener. The error's text names what cannot be had. Blocks.
    Status start();

    /// Serves until SIGTERM or SIGINT, then drains; SIGHUP reloads. Every thread has blocked these.
    void run(const sigset_t& signals);

    /// After run(): a thread still reads a configuration, so the process must end without destructors.
    bool is_reloading() const { return reloads_wanted_ > 0; }

    // Any thread; see Control.
    ServerStatus status(Fiber& fiber) override;
    std::vector<OpenSession> sessions(Fiber& fiber) override;
    std::uint64_t kick(Fiber& fiber, std::optional<std::uint64_t> id, const std::string& user) override;
    void drain() override;
    Result<std::vector<std::string>> reload(Fiber& fiber) override;
    bool trace(const std::string& user, std::chrono::seconds time) override;
    std::vector<TraceLine> trace_lines(Fiber& fiber, const std::string& user, std::uint64_t number,
                                       std::chrono::milliseconds patience) override;

private:
    struct Worker;

    /// All that comes of one configuration.
    struct Generation {
        std::shared_ptr<const Config> config;
        std::unique_ptr<Accounts> accounts;
        ServerTls tls;                                          // of the process: web pages have them, too
        std::shared_ptr<ServerCertificates> read_certificates;  // to be taken into `tls`; null: it has them
        std::optional<Services> services;
    };
    /// One address, with a listener on each worker.
    struct Bound {
        ListenConfig config;
        boost::asio::ip::tcp::endpoint endpoint;
        std::shared_ptr<const ListenerInfo> info;
        std::vector<std::pair<Worker*, std::unique_ptr<Listener>>> listeners;
    };
    using Remarks = std::vector<std::string>;

    static std::vector<admin::MinuteOfTraffic> traffic(const metrics::History& history);
    Result<std::shared_ptr<Generation>> make_generation(std::shared_ptr<const Config> config);
    Result<Bound> bind(const ListenConfig& listen, const Generation& generation);
    static void tell_of(const Bound& bound);
    void take_into_use(std::shared_ptr<const Generation> next);
    Result<Remarks> reload_now();
    void reload_aside();
    Result<Remarks> take(std::shared_ptr<Generation> made, const std::vector<ConfigProblem>& problems);
    Remarks differences_for_a_restart(const Config& next) const;
    std::shared_ptr<const Generation> generation() const;
    std::shared_ptr<Accounts> accounts() const;

    static void run_to_the_end(boost::asio::io_context& context);
    static void tell_of_certificates(const ServerCertificates& certificates);
    std::vector<Trouble> troubles(Fiber& fiber, const Generation& now);
    void wait_for_the_end(const sigset_t& signals);
    void prove_alive();
    void keep_tokens_alive();
    void look_after_certificates();
    void write_history();
    void start_chore(const char* name, std::function<void(Fiber&)> body);
    template <class Action>
    void on_every_worker(Action action);
    template <class Part, class Ask>
    std::vector<Part> gather(Fiber& fiber, Ask ask);

    const std::function<LoadedConfig()> load_;
    StateStore& store_;
    AccountSessions account_sessions_;
    Admission admission_;
    Traces traces_;
    IndexBuilds builds_;
    metrics::History history_;
    std::vector<PassedSocket> passed_sockets_;

    std::vector<std::unique_ptr<Worker>> workers_;
    std::mutex loading_mutex_;                 // one reload at a time; held while files are read
    std::mutex reload_mutex_;                  // for moments, and never while loading_mutex_ is wanted
    std::atomic<unsigned> reloads_wanted_{0};  // by SIGHUP; while there are any, one thread sees to them
    std::shared_ptr<const Config> first_config_;
    std::vector<Bound> bound_;                       // under reload_mutex_
    std::vector<std::unique_ptr<Listener>> closed_;  // likewise; their last handlers may not have run yet
    mutable std::mutex generation_mutex_;
    std::shared_ptr<const Generation> generation_;        // under it
    std::vector<std::string> listening_;                  // likewise, for status()
    std::chrono::system_clock::time_point configured_{};  // likewise
    admin::AdminApi admin_;
    std::unique_ptr<web::Web> web_;
    std::atomic<bool> draining_{false};
    const std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
};

}  // namespace popgate
