#include "gateway/config/redis_url.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace popgate::redis {

namespace {

constexpr std::string_view standard_port = "6379";
constexpr std::string_view sentinel_port = "26379";
constexpr std::size_t longest_prefix = 64;

Error bad(std::string text) { return {Errc::permanent, std::move(text), {}}; }

struct Scheme {
    std::string_view name;
    Address::Kind kind;
    bool tls;
    bool is_path;
};
constexpr Scheme schemes[] = {
    {"redis://", Address::Kind::single, false, false},
    {"rediss://", Address::Kind::single, true, false},
    {"redis+unix:", Address::Kind::single, false, true},
    {"redis+sentinel://", Address::Kind::sentinel, false, false},
    {"rediss+sentinel://", Address::Kind::sentinel, true, false},
    {"redis+cluster://", Address::Kind::cluster, false, false},
    {"rediss+cluster://", Address::Kind::cluster, true, false},
};

int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = static_cast<char>(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::optional<std::string> percent_decoded(std::string_view text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            plain += text[i];
            continue;
        }
        const int high = i + 2 < text.size() ? hex(text[i + 1]) : -1;
        const int low = i + 2 < text.size() ? hex(text[i + 2]) : -1;
        if (high < 0 || low < 0 || (high == 0 && low == 0)) return std::nullopt;
        plain += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return plain;
}

/// Splits at the first one; the second part is empty where there is none.
std::pair<std::string_view, std::string_view> split(std::string_view text, char at) {
    const auto place = text.find(at);
    if (place == text.npos) return {text, {}};
    return {text.substr(0, place), text.substr(place + 1)};
}

bool is_number(std::string_view text, unsigned least, unsigned most, unsigned& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size() && !text.empty() && number >= least &&
           number <= most;
}

bool is_word(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' ||
               c == '.';
    });
}

Status read_server(std::string_view text, std::string_view port, Address& address) {
    Address::Server server;
    if (text.starts_with('[')) {
        const auto end = text.find(']');
        if (end == text.npos) return bad("state.url has a [ without its ] in a host");
        server.host = text.substr(1, end - 1);
        text.remove_prefix(end + 1);
        if (!text.empty() && text.front() != ':') return bad("state.url has something between a host and its port");
        if (!text.empty()) port = text.substr(1);
    } else {
        const auto [host, given] = split(text, ':');
        server.host = host;
        if (host.size() != text.size()) port = given;
    }
    unsigned number = 0;
    if (server.host.empty()) return bad("state.url names no host; write it as \"redis://host:6379/0\"");
    const bool is_odd = std::ranges::any_of(server.host, [](unsigned char c) { return c <= 0x20 || c >= 0x7F; });
    if (is_odd) return bad("state.url has a host that cannot be one");
    if (!is_number(port, 1, 65535, number)) return bad("state.url has a port that is no number from 1 to 65535");
    server.port = port;
    address.servers.push_back(std::move(server));
    return {};
}

Status read_query(std::string_view query, Address& address, bool may_name_database) {
    while (!query.empty()) {
        const auto [one, rest] = split(query, '&');
        const auto [key, value] = split(one, '=');
        if (key == "prefix") {
            if (!is_word(value) || value.size() > longest_prefix)
                return bad("state.url has a prefix that is not up to 64 letters, digits, '-', '_' and '.'");
            address.prefix = value;
        } else if (key == "database" && may_name_database) {
            if (!is_number(value, 0, 65535, address.database))
                return bad("state.url has a database that is no number from 0 to 65535");
        } else {
            return bad("state.url has something behind its '?' that is not known; known are prefix=NAME" +
                       std::string(may_name_database ? " and database=N" : ""));
        }
        query = rest;
    }
    return {};
}

Status read_path(std::string_view path, Address& address) {
    if (address.kind == Address::Kind::sentinel) {
        const auto [master, database] = split(path, '/');
        if (!is_word(master))
            return bad("state.url names no master; write it as \"redis+sentinel://host:26379/mymaster\"");
        address.master = master;
        path = database;
    }
    if (path.empty()) return {};
    if (address.kind == Address::Kind::cluster) return bad("state.url names a database, and a cluster has but one");
    if (!is_number(path, 0, 65535, address.database))
        return bad("state.url has a database that is no number from 0 to 65535");
    return {};
}

}  // namespace

bool is_redis_url(std::string_view url) {
    return url.starts_with("redis:") || url.starts_with("rediss:") || url.starts_with("redis+") ||
           url.starts_with("rediss+");
}

Result<Address> parse_redis_url(std::string_view url) {
    const auto* const scheme = std::ranges::find_if(schemes, [&](const Scheme& each) { return url.starts_with(each.name); });
    if (scheme == std::end(schemes))
        return bad(
            "state.url is of a kind that is not known; known are redis://, rediss://, redis+unix:, redis+sentinel:// and "
            "redis+cluster://");
    Address address;
    address.kind = scheme->kind;
    address.tls = scheme->tls;
    auto rest = url.substr(scheme->name.size());
    const auto [before_query, query] = split(rest, '?');
    if (auto status = read_query(query, address, scheme->is_path); !status) return status.error();
    rest = before_query;
    if (scheme->is_path) {
        auto path = percent_decoded(rest);
        if (!path || !path->starts_with('/') || path->ends_with('/') || path->size() > 100)
            return bad("state.url holds no absolute path of a socket; write it as \"redis+unix:/run/redis/redis.sock\"");
        address.socket = std::move(*path);
        return address;
    }
    const auto authority = rest.substr(0, rest.find('/'));
    const auto path = authority.size() == rest.size() ? std::string_view() : rest.substr(authority.size() + 1);
    auto servers = authority;
    // A password may hold an @ that nobody has encoded.
    if (const auto at = authority.rfind('@'); at != authority.npos) {
        const auto login = authority.substr(0, at);
        const auto [user, password] = split(login, ':');
        auto plain_user = percent_decoded(user), plain_password = percent_decoded(password);
        if (!plain_user || !plain_password || user.size() == login.size())
            return bad("state.url has no USER:PASSWORD before its '@', or a % without two hexadecimal digits");
        address.user = std::move(*plain_user);
        address.password = std::move(*plain_password);
        servers = authority.substr(at + 1);
    }
    const auto port = address.kind == Address::Kind::sentinel ? sentinel_port : standard_port;
    for (;;) {
        const auto comma = servers.find(',');
        if (auto status = read_server(servers.substr(0, comma), port, address); !status) return status.error();
        if (comma == servers.npos) break;
        servers.remove_prefix(comma + 1);
    }
    if (address.kind == Address::Kind::single && address.servers.size() > 1)
        return bad("state.url names several hosts, which redis+sentinel:// and redis+cluster:// are for");
    if (auto status = read_path(path, address); !status) return status.error();
    return address;
}

}  // namespace popgate::redis
