#pragma once

#include "backends/errors.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace popgate::redis {

/// Where a Redis or Valkey is.
struct Address {
    enum class Kind {
        single,    ///< one server, at servers[0] or a socket's path
        sentinel,  ///< servers are Sentinels, which know the master
        cluster,   ///< servers are some of the cluster's
    };
    struct Server {
        std::string host;  ///< without brackets
        std::string port;
    };
    Kind kind = Kind::single;
    std::vector<Server> servers;
    std::string socket;  ///< an absolute path; empty: TCP
    bool tls = false;    ///< to the servers, and to the Sentinels
    std::string user;    ///< of the ACL; empty: the default one
    std::string password;
    std::string master;              ///< as the Sentinels call it
    unsigned database = 0;           ///< 0 in a cluster
    std::string prefix = "popgate";  ///< of all keys; letters, digits, '-', '_' and '.'
};

/// Reads "redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]", "rediss://…" (TLS), "redis+unix:/PATH[?database=N]",
/// (or "redis+unix://USER:PASSWORD@/PATH"), "redis+sentinel://HOST[:PORT],HOST…/MASTER[/DATABASE]",
/// "rediss+sentinel://…", "redis+cluster://HOST[:PORT],HOST…", "rediss+cluster://…"; each may end with "?prefix=NAME".
/// User and password are percent-decoded. The error's text says what is wrong, in one sentence and without the
/// password.
Result<Address> parse_redis_url(std::string_view url);

/// True for what parse_redis_url() is meant for, whether or not it is right.
bool is_redis_url(std::string_view url);

}  // namespace popgate::redis
