#pragma once

#include "backends/errors.hpp"
#include "gateway/state/redis/client.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct redisReader;

namespace popgate::redis {

/// A command as it goes over the wire (RESP2), by hiredis.
std::string formatted(const Command& command);
/// Likewise, for the server with this run id.
std::string formatted(const Run& run, const std::string& run_id);
/// With the script's text, for a server that may not have it.
std::string formatted_whole(const Run& run, const std::string& run_id);

/// Reads replies out of what a server sends. Not for several threads at once.
class ReplyReader {
public:
    ReplyReader();

    void feed(std::string_view octets);
    /// Nothing where more octets are needed. Errc::temporary: this is no Redis, and nothing can be read any more.
    Result<std::optional<Reply>> next();

private:
    struct Free {
        void operator()(redisReader* reader) const;
    };
    std::unique_ptr<redisReader, Free> reader_;
};

}  // namespace popgate::redis
