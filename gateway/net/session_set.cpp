#include "gateway/net/session_set.hpp"

#include "backends/ascii.hpp"
#include "gateway/net/connection.hpp"
#include "gateway/net/fiber.hpp"

namespace popgate {

void SessionSet::interrupt_all() {
    for (const auto& [fiber, connection] : sessions_) fiber->interrupt();
}

std::size_t SessionSet::kick(std::optional<std::uint64_t> id, std::string_view user) {
    std::size_t count = 0;
    for (const auto& [fiber, connection] : sessions_) {
        if (!connection || (id ? connection->id() != *id : !equal_but_for_case(connection->user(), user))) continue;
        connection->kick();
        ++count;
    }
    return count;
}

std::vector<OpenSession> SessionSet::list() const {
    std::vector<OpenSession> all;
    all.reserve(sessions_.size());
    for (const auto& [fiber, connection] : sessions_)
        if (connection) all.push_back(connection->status());
    return all;
}

}  // namespace popgate
