#pragma once

#include "backends/errors.hpp"
#include "gateway/config/redis_url.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace boost::asio {
class io_context;
}

namespace popgate {

class Fiber;
class TlsClientContext;

namespace redis {

/// What a server says to one command.
struct Reply {
    enum class Kind { nil, integer, text, error, array };
    Kind kind = Kind::nil;
    std::int64_t integer = 0;
    std::string text;  ///< of a status, too; octets
    std::vector<Reply> elements;

    bool is_error() const { return kind == Kind::error; }
};

/// A command and its arguments; octets.
using Command = std::vector<std::string>;

/// A script in Lua that the server keeps; its keys lie in one slot. ARGV[1] is always the run id of the server that
/// runs it, which no other process has or will have; the caller's arguments follow.
class Script {
public:
    /// `text` is a literal.
    explicit Script(std::string_view text);
    std::string_view text() const { return text_; }
    const std::string& sha1() const { return sha1_; }  ///< in hex

private:
    std::string_view text_;
    std::string sha1_;
};

/// One run of a script.
struct Run {
    const Script* script;
    std::vector<std::string> keys;  ///< at least one
    std::vector<std::string> arguments;
};

struct ClientOptions {
    std::shared_ptr<const TlsClientContext> tls{};  ///< for rediss:
    std::chrono::milliseconds connect_timeout{2000};
    std::chrono::milliseconds call_timeout{3000};  ///< in which a server that is asked says nothing
    std::string name{};                            ///< of this node, for CLIENT SETNAME; without spaces
    /// Called on each new connection, on a fiber of its thread, before any call uses it: the buckets (0 to 255, see
    /// bucket_key()) that its server has, so that they can be greeted. May be empty.
    std::function<std::vector<Run>(const std::vector<unsigned>& buckets)> greeting{};
};

/// Keys are spread over so many buckets, each of which lies in one slot of a cluster.
inline constexpr unsigned buckets = 256;

/// "PREFIX:{7f}:REST": a key of a bucket.
std::string bucket_key(std::string_view prefix, unsigned bucket, std::string_view rest);

/// A Redis or Valkey, by itself, found by Sentinels, or a cluster. Shared by all threads: each io_context has
/// connections of its own, one a server, on which the calls of all its fibers follow one another without waiting for
/// replies. Calls suspend their fiber and block no thread.
///
/// Errc::temporary: no server could be reached, or it gave no answer in time: what was to be done may have been done. A
/// connection on which an answer is late is given up. LOADING, READONLY, MASTERDOWN, CLUSTERDOWN and TRYAGAIN are
/// temporary too; NOAUTH, WRONGPASS and NOPERM as well, with the reason in the detail, since an administrator mends
/// them while sessions wait.
class Client {
public:
    Client(Address address, ClientOptions options);
    ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    /// Runs them in this order on the server of the first one's bucket; all keys are of one bucket. Where a slot moves
    /// or a script is not known, what was refused comes behind the others. Other errors of the server stand in the
    /// replies. A run is only sent again where it surely was not done (MOVED, ASK, NOSCRIPT, a connection that had been
    /// closed before anything was sent).
    Result<std::vector<Reply>> run(Fiber& fiber, std::vector<Run> runs);
    Result<Reply> run(Fiber& fiber, Run run);

    /// Like run(); `replicas` of the server must have got all of it ("WAIT"), or it is Errc::temporary. 0: none.
    Result<std::vector<Reply>> run_replicated(Fiber& fiber, std::vector<Run> runs, unsigned replicas);

    /// Commands whose keys are in this bucket.
    Result<std::vector<Reply>> call(Fiber& fiber, unsigned bucket, std::vector<Command> commands);

    /// Sends it when it can, and does not look at what becomes of it. Never suspends. From the context's own thread,
    /// where a connection is open; without one nothing is sent.
    void post(boost::asio::io_context& context, const Run& run);

    /// Empty, or why the last attempt to reach a server failed, in one sentence.
    std::string trouble() const;

private:
    class Threads;
    struct State;
    using Format = std::function<std::string(std::size_t, const std::string&)>;
    Result<std::vector<Reply>> exchange(Fiber& fiber, unsigned bucket, std::size_t count, unsigned replicas,
                                        const Format& format, const std::function<const Script*(std::size_t)>& script);

    std::shared_ptr<State> state_;
};

}  // namespace redis
}  // namespace popgate
