#pragma once

#include "backends/errors.hpp"
#include "gateway/net/open_session.hpp"
#include "gateway/observe/traces.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace popgate {

class Fiber;

/// Something that is wrong now, for the status page and for readiness.
struct Trouble {
    std::string what;            ///< one line: "the state store cannot be written"
    std::string why;             ///< the cause, one line; may be empty
    bool stops_service = false;  ///< true: not ready
};

/// What runs.
struct ServerStatus {
    std::string version;
    std::chrono::system_clock::time_point started{};
    std::chrono::system_clock::time_point configured{};  ///< the last time that a configuration was taken
    bool draining = false;
    bool under_stress = false;  ///< near limits.max_sessions
    std::uint64_t sessions = 0;
    std::uint64_t max_sessions = 0;
    std::vector<std::string> listeners;  ///< "0.0.0.0:995 implicit"
    std::vector<std::string> routes;     ///< "*@corp.example → imaps://imap.corp.example"
    std::vector<Trouble> troubles;
};

/// What an administrator may ask of the running server, and tell it. Any thread; calls that have a fiber suspend it.
class Control {
public:
    virtual ~Control() = default;

    virtual ServerStatus status(Fiber& fiber) = 0;
    /// All that answer within two seconds: a thread that hangs does not hold up the answer.
    virtual std::vector<OpenSession> sessions(Fiber& fiber) = 0;
    /// Ends sessions: the one with this id, or all of a user (as he logged in, any case). How many there were.
    virtual std::uint64_t kick(Fiber& fiber, std::optional<std::uint64_t> id, const std::string& user) = 0;
    /// As SIGTERM.
    virtual void drain() = 0;
    /// As SIGHUP: reads the configuration again. The error's text names every problem, one a line; nothing has changed
    /// then. Otherwise remarks, such as keys that only a restart changes.
    virtual Result<std::vector<std::string>> reload(Fiber& fiber) = 0;
    /// Switches the trace of a user on for `time` from now, once more if it is on already; zero switches it off. False
    /// where too many users are traced already.
    virtual bool trace(const std::string& user, std::chrono::seconds time) = 0;
    /// Traced lines of a user after `number`, the oldest first, at most 1000. Waits up to `patience` for the first.
    virtual std::vector<TraceLine> trace_lines(Fiber& fiber, const std::string& user, std::uint64_t number,
                                               std::chrono::milliseconds patience) = 0;
};

}  // namespace popgate
