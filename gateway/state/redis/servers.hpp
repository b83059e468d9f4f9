#pragma once

#include "gateway/net/fiber.hpp"
#include "gateway/state/redis/client.hpp"
#include "gateway/state/redis/connection.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace popgate::redis {

/// The slot of a key in a cluster, 0 to 16383: of what is in its first {}, where there is something.
unsigned slot_of(std::string_view key);

/// The servers of one store as one thread knows them, with its connection to each. Calls suspend unless it is said that
/// they do not. Errc::temporary: none can be reached; the next attempts fail at once for a moment, up to two seconds.
class Servers {
public:
    Servers(Address address, ClientOptions options) : address_(std::move(address)), options_(std::move(options)) {}

    /// A connection to the server that has this bucket, ready for commands.
    Result<std::shared_ptr<Connection>> of_bucket(Fiber& fiber, unsigned bucket);
    /// Likewise, to "host:port", where another server of the cluster has sent us.
    Result<std::shared_ptr<Connection>> at(Fiber& fiber, const std::string& place);
    /// One that is open, else null. Does not suspend.
    Connection* open_one(unsigned bucket);

    // These do not suspend.
    /// It is not what it was taken for.
    void drop(Connection& connection, const std::string& why);
    /// The place in "MOVED 3999 127.0.0.1:6381" or "ASK …", said on this connection.
    static std::string place_in(std::string_view reply, const Connection& connection);
    /// What is known of who has which bucket is out of date.
    void look_again();

private:
    using Server = Address::Server;
    struct Target {
        std::shared_ptr<Connection> connection;
        bool is_connecting = false;
        std::chrono::milliseconds pause{};
        Deadline retry_at = Deadline::min();
        std::string why;
    };
    struct Range {
        unsigned first, last;  // slots
        Server server;
    };

    Result<Server> server_of(Fiber& fiber, unsigned bucket);
    const Server* known_server_of(unsigned bucket) const;
    Result<Server> ask_sentinels(Fiber& fiber);
    Result<Server> ask_sentinel(Fiber& fiber, const Server& sentinel);
    Status ask_for_slots(Fiber& fiber);
    Status ask_for_slots_at(Fiber& fiber, const Server& server);
    Result<std::shared_ptr<Connection>> connected(Fiber& fiber, const Server& server);
    Result<std::shared_ptr<Connection>> connect(Fiber& fiber, const Server& server);
    Status introduce(Fiber& fiber, Connection& connection);
    Status greet(Fiber& fiber, Connection& connection, const std::vector<unsigned>& buckets);
    std::vector<unsigned> buckets_of(const Server& server) const;

    const Address address_;
    const ClientOptions options_;
    std::map<std::string, Target> targets_;  // by "host:port"
    std::optional<Server> master_;           // as the Sentinels last said
    std::vector<Range> slots_;               // of a cluster
    bool is_looking_ = false;                // for the one or the other
};

}  // namespace popgate::redis
