#include "gateway/state/redis/servers.hpp"

#include <boost/crc.hpp>

#include <algorithm>
#include <utility>

namespace popgate::redis {

using namespace std::chrono_literals;

namespace {

constexpr std::chrono::milliseconds first_pause = 200ms;
constexpr std::chrono::milliseconds longest_pause = 2s;
constexpr auto look_whether_done = 10ms;
constexpr auto sentinel_timeout = 1s;
constexpr unsigned all_slots = 16'384;

Error unreachable(std::string why) { return {Errc::temporary, "the state store cannot be reached", std::move(why)}; }

std::string place_of(const Address::Server& server) { return server.host + ':' + server.port; }

bool is_same(const Address::Server& a, const Address::Server& b) { return a.host == b.host && a.port == b.port; }

/// "run_id:8f0c…" in what INFO says.
std::string run_id_in(const std::string& info) {
    constexpr std::string_view name = "run_id:";
    const auto found = info.find(name);
    if (found == info.npos) return {};
    const auto begin = found + name.size();
    return info.substr(begin, info.find_first_of("\r\n", begin) - begin);
}

/// Clears a flag when it goes.
class Flag {
public:
    explicit Flag(bool& flag) : flag_(flag) { flag_ = true; }
    ~Flag() { flag_ = false; }
    Flag(const Flag&) = delete;
    Flag& operator=(const Flag&) = delete;

private:
    bool& flag_;
};

}  // namespace

unsigned slot_of(std::string_view key) {
    if (const auto open = key.find('{'); open != key.npos)
        if (const auto close = key.find('}', open); close != key.npos && close != open + 1)
            key = key.substr(open + 1, close - open - 1);
    boost::crc_optimal<16, 0x1021> crc;  // XMODEM's
    crc.process_bytes(key.data(), key.size());
    return crc.checksum() % all_slots;
}

Result<std::shared_ptr<Connection>> Servers::of_bucket(Fiber& fiber, unsigned bucket) {
    // A master, or a server of a cluster, that is there no more: the others know who it is now.
    for (int attempt = 0;; ++attempt) {
        const auto server = server_of(fiber, bucket);
        if (!server) return server.error();
        auto connection = connected(fiber, *server);
        if (connection || attempt == 1 || address_.kind == Address::Kind::single) return connection;
        look_again();
    }
}

Result<std::shared_ptr<Connection>> Servers::at(Fiber& fiber, const std::string& place) {
    const auto colon = place.rfind(':');
    if (colon == place.npos) return unreachable("a server of the cluster sends to \"" + place + '"');
    return connected(fiber, {place.substr(0, colon), place.substr(colon + 1)});
}

Connection* Servers::open_one(unsigned bucket) {
    const auto* const server = known_server_of(bucket);
    if (!server) return nullptr;
    const auto found = targets_.find(place_of(*server));
    const bool is_open = found != targets_.end() && found->second.connection && found->second.connection->is_usable();
    return is_open ? found->second.connection.get() : nullptr;
}

void Servers::drop(Connection& connection, const std::string& why) {
    connection.give_up(why);
    look_again();
}

std::string Servers::place_in(std::string_view reply, const Connection& connection) {
    auto place = std::string(reply.substr(reply.rfind(' ') + 1));
    // A server that does not know its own address means the one where it was asked.
    if (place.starts_with("?:")) place.erase(0, 1);
    if (place.starts_with(':')) place = connection.name().substr(0, connection.name().rfind(':')) + place;
    return place;
}

void Servers::look_again() {
    master_.reset();
    slots_.clear();
}

const Servers::Server* Servers::known_server_of(unsigned bucket) const {
    switch (address_.kind) {
        case Address::Kind::single: {
            static const Server by_path;  // the address has the socket's path
            return address_.servers.empty() ? &by_path : &address_.servers.front();
        }
        case Address::Kind::sentinel: return master_ ? &*master_ : nullptr;
        case Address::Kind::cluster: break;
    }
    const auto slot = slot_of(bucket_key({}, bucket, {}));
    const auto found =
        std::ranges::find_if(slots_, [&](const Range& each) { return each.first <= slot && slot <= each.last; });
    return found == slots_.end() ? nullptr : &found->server;
}

Result<Servers::Server> Servers::server_of(Fiber& fiber, unsigned bucket) {
    if (const auto* const known = known_server_of(bucket)) return *known;
    const auto patience = Clock::now() + options_.call_timeout;
    while (is_looking_ && !fiber.interrupted() && Clock::now() < std::min(patience, fiber.limit()))
        fiber.sleep_until(Clock::now() + look_whether_done);
    if (const auto* const known = known_server_of(bucket)) return *known;
    if (is_looking_) return unreachable("no time was left to wait for another's connection");
    const Flag looking(is_looking_);
    if (address_.kind == Address::Kind::sentinel) {
        auto master = ask_sentinels(fiber);
        if (master) master_ = *master;
        return master;
    }
    if (auto status = ask_for_slots(fiber); !status) return status.error();
    if (const auto* const known = known_server_of(bucket)) return *known;
    return unreachable("no server of the cluster has slot " + std::to_string(slot_of(bucket_key({}, bucket, {}))));
}

Result<Servers::Server> Servers::ask_sentinels(Fiber& fiber) {
    std::string why;
    for (const auto& sentinel : address_.servers) {
        auto master = ask_sentinel(fiber, sentinel);
        if (master || fiber.interrupted()) return master;
        why += (why.empty() ? "" : "; ") + master.error().detail;
    }
    return unreachable(why);
}

Result<Servers::Server> Servers::ask_sentinel(Fiber& fiber, const Server& sentinel) {
    const Fiber::LimitScope limit(fiber, Clock::now() + sentinel_timeout);
    const auto connection = Connection::open(fiber, address_, sentinel, options_);
    if (!connection) return connection.error();
    const auto question = formatted({"SENTINEL", "get-master-addr-by-name", address_.master});
    auto replies = (*connection)->ask(fiber, question, 1);
    if (replies && replies->front().is_error() && replies->front().text.starts_with("NOAUTH")) {
        replies = (*connection)->ask(fiber, formatted({"AUTH", address_.password}) + question, 2);
        if (replies) replies->erase(replies->begin());
    }
    if (!replies) return replies.error();
    const auto& reply = replies->front();
    const auto asked = "sentinel " + place_of(sentinel) + ": ";
    if (reply.is_error()) return unreachable(asked + reply.text);
    if (reply.elements.size() != 2) return unreachable(asked + "knows no master \"" + address_.master + '"');
    return Server{reply.elements[0].text, reply.elements[1].text};
}

Status Servers::ask_for_slots(Fiber& fiber) {
    std::string why;
    auto servers = address_.servers;
    for (const auto& [place, target] : targets_)
        if (const auto colon = place.rfind(':'); colon != place.npos)
            servers.push_back({place.substr(0, colon), place.substr(colon + 1)});
    for (const auto& server : servers) {
        auto status = ask_for_slots_at(fiber, server);
        if (status || fiber.interrupted()) return status;
        why += (why.empty() ? "" : "; ") + status.error().detail;
    }
    return unreachable(why);
}

Status Servers::ask_for_slots_at(Fiber& fiber, const Server& server) {
    const Fiber::LimitScope limit(fiber, Clock::now() + sentinel_timeout);
    const auto connection = Connection::open(fiber, address_, server, options_);
    if (!connection) return connection.error();
    if (auto status = introduce(fiber, **connection); !status) return status;
    const auto replies = (*connection)->ask(fiber, formatted({"CLUSTER", "SLOTS"}), 1);
    if (!replies) return replies.error();
    const auto& reply = replies->front();
    if (reply.is_error()) return unreachable(place_of(server) + ": " + reply.text);
    std::vector<Range> slots;
    for (const auto& range : reply.elements) {
        if (range.elements.size() < 3 || range.elements[2].elements.size() < 2) continue;
        const auto& master = range.elements[2].elements;
        const auto first = range.elements[0].integer, last = range.elements[1].integer, port = master[1].integer;
        if (first < 0 || first > last || last >= all_slots || port < 1 || port > 65'535) continue;
        slots.push_back({static_cast<unsigned>(first),
                         static_cast<unsigned>(last),
                         {master[0].text.empty() ? server.host : master[0].text, std::to_string(port)}});
    }
    if (slots.empty()) return unreachable(place_of(server) + ": knows nothing of the cluster's slots");
    slots_ = std::move(slots);
    return {};
}

std::vector<unsigned> Servers::buckets_of(const Server& server) const {
    std::vector<unsigned> mine;
    for (unsigned bucket = 0; bucket < buckets; ++bucket) {
        const auto* const has_it = known_server_of(bucket);
        if (has_it && is_same(*has_it, server)) mine.push_back(bucket);
    }
    return mine;
}

Result<std::shared_ptr<Connection>> Servers::connected(Fiber& fiber, const Server& server) {
    auto& target = targets_[place_of(server)];
    const auto patience = Clock::now() + options_.call_timeout;
    while (target.is_connecting && !fiber.interrupted() && Clock::now() < std::min(patience, fiber.limit()))
        fiber.sleep_until(Clock::now() + look_whether_done);
    if (target.is_connecting) return unreachable("no time was left to wait for another's connection");
    if (target.connection && target.connection->is_usable()) return target.connection;
    target.connection.reset();
    if (Clock::now() < target.retry_at) return unreachable(target.why);
    const Flag connecting(target.is_connecting);
    auto made = connect(fiber, server);
    if (made) {
        target.connection = *made;
        target.pause = {};
    } else if (!fiber.interrupted()) {
        // Also where this fiber's time was short: others would wait for one such attempt after the other.
        target.pause = std::clamp(2 * target.pause, first_pause, longest_pause);
        target.retry_at = Clock::now() + target.pause;
        target.why = made.error().detail;
    }
    return made;
}

Result<std::shared_ptr<Connection>> Servers::connect(Fiber& fiber, const Server& server) {
    auto made = Connection::open(fiber, address_, server, options_);
    if (!made) return made;
    auto status = introduce(fiber, **made);
    if (status) status = greet(fiber, **made, buckets_of(server));
    if (status) return made;
    (*made)->give_up(status.error().detail);
    return status.error();
}

// Says who is there, and hears who that is: a replica takes no writes, and would serve what is out of date.
Status Servers::introduce(Fiber& fiber, Connection& connection) {
    std::vector<Command> commands;
    if (!address_.user.empty())
        commands.push_back({"AUTH", address_.user, address_.password});
    else if (!address_.password.empty())
        commands.push_back({"AUTH", address_.password});
    if (address_.database != 0) commands.push_back({"SELECT", std::to_string(address_.database)});
    if (!options_.name.empty()) commands.push_back({"CLIENT", "SETNAME", options_.name});
    commands.push_back({"ROLE"});
    commands.push_back({"INFO", "server"});
    std::string octets;
    for (const auto& each : commands) octets += formatted(each);
    const auto replies = connection.ask(fiber, std::move(octets), commands.size());
    if (!replies) return replies.error();
    for (std::size_t i = 0; i < commands.size(); ++i) {
        const auto& reply = (*replies)[i];
        if (reply.is_error() && commands[i].front() != "CLIENT")
            return unreachable(connection.name() + ": " + commands[i].front() + ": " + reply.text);
    }
    const auto& role = (*replies)[commands.size() - 2];
    if (role.elements.empty() || role.elements.front().text != "master")
        return unreachable(connection.name() + ": it is no master");
    connection.run_id = run_id_in(replies->back().text);
    if (connection.run_id.empty()) return unreachable(connection.name() + ": it does not tell its run_id");
    return {};
}

Status Servers::greet(Fiber& fiber, Connection& connection, const std::vector<unsigned>& mine) {
    if (!options_.greeting) return {};
    const auto runs = options_.greeting(mine);
    std::string octets;
    for (const auto& run : runs) octets += formatted_whole(run, connection.run_id);
    const auto replies = connection.ask(fiber, std::move(octets), runs.size());
    if (!replies) return replies.error();
    for (const auto& reply : *replies)
        // A bucket that has just moved is greeted by the script that needs it.
        if (reply.is_error() && !reply.text.starts_with("MOVED ") && !reply.text.starts_with("ASK "))
            return unreachable(connection.name() + ": " + reply.text);
    return {};
}

}  // namespace popgate::redis
