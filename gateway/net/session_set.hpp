#pragma once

#include "gateway/net/open_session.hpp"

#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace popgate {

class Connection;
class Fiber;

/// The sessions of one io_context, whoever accepted them. Used from that context's thread only.
class SessionSet {
public:
    void insert(Fiber& fiber) { sessions_[&fiber] = nullptr; }
    /// Once it is known who the client is.
    void set(Fiber& fiber, Connection& connection) { sessions_[&fiber] = &connection; }
    void erase(Fiber& fiber) { sessions_.erase(&fiber); }
    std::size_t size() const { return sessions_.size(); }

    /// Ends every wait of every session; each says so to its client where that is still possible.
    void interrupt_all();
    /// The same for the session of this id, or those of a user. How many there were.
    std::size_t kick(std::optional<std::uint64_t> id, std::string_view user);
    std::vector<OpenSession> list() const;

private:
    std::unordered_map<Fiber*, Connection*> sessions_;
};

}  // namespace popgate
