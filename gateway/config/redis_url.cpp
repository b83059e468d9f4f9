#include "gateway/config/redis_url.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

namespace popgate::redis {

namespace {

constexpr std::string_view default_port = "6379";
constexpr std::string_view default_sentinel_port = "26379";
constexpr std::size_t longest_prefix = 64;
constexpr unsigned most_databases = 1U << 20;

struct Scheme {
    std::string_view name;
    Address::Kind kind;
    bool tls;
};
constexpr Scheme schemes[] = {
    {"redis://", Address::Kind::single, false},
    {"rediss://", Address::Kind::single, true},
    {"redis+sentinel://", Address::Kind::sentinel, false},
    {"rediss+sentinel://", Address::Kind::sentinel, true},
    {"redis+cluster://", Address::Kind::cluster, false},
    {"rediss+cluster://", Address::Kind::cluster, true},
};
constexpr std::string_view unix_scheme = "redis+unix:";

Error bad_url(std::string reason) { return {Errc::permanent, std::move(reason), {}}; }

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::optional<std::string> without_percents(std::string_view text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            plain += text[i];
            continue;
        }
        const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
        const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
        if (high < 0 || low < 0) return std::nullopt;
        plain += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return plain;
}

std::optional<unsigned> number_up_to(std::string_view text, unsigned most) {
    unsigned number = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failure != std::errc() || end != text.data() + text.size() || number > most) return std::nullopt;
    return number;
}

Status read_database(std::string_view text, Address& address) {
    const auto number = number_up_to(text, most_databases);
    if (!number) return bad_url("the database of the Redis URL is no number");
    address.database = *number;
    return {};
}

Status read_prefix(std::string_view text, Address& address) {
    const auto is_fit = [](char c) { return is_alphanumeric(c) || c == '-' || c == '_' || c == '.'; };
    if (text.empty() || text.size() > longest_prefix || !std::ranges::all_of(text, is_fit))
        return bad_url("the prefix of the Redis URL is not 1 to 64 letters, digits, '-', '_' or '.'");
    address.prefix = text;
    return {};
}

Status read_query(std::string_view query, Address& address) {
    bool has_prefix = false;
    bool has_database = false;
    while (!query.empty()) {
        const auto end = std::min(query.find('&'), query.size());
        const auto item = query.substr(0, end);
        query.remove_prefix(std::min(end + 1, query.size()));
        const auto equals = std::min(item.find('='), item.size());
        const auto name = item.substr(0, equals);
        const auto value = item.substr(std::min(equals + 1, item.size()));
        Status status;
        if (name == "prefix" && !has_prefix) {
            has_prefix = true;
            status = read_prefix(value, address);
        } else if (name == "database" && !address.socket.empty() && !has_database) {
            has_database = true;
            status = read_database(value, address);
        } else {
            status = bad_url(address.socket.empty() ? "behind its '?' the Redis URL may hold one prefix=NAME alone"
                                                    : "behind its '?' the Redis URL may hold one prefix=NAME and one "
                                                      "database=NUMBER alone");
        }
        if (!status) return status;
    }
    return {};
}

Status read_server(std::string_view text, std::string_view otherwise, Address& address) {
    std::string_view host;
    std::string_view port = otherwise;
    std::string_view rest;
    if (text.starts_with('[')) {
        const auto end = text.find(']');
        if (end == std::string_view::npos) return bad_url("a host of the Redis URL has '[' without ']'");
        host = text.substr(1, end - 1);
        rest = text.substr(end + 1);
        const auto is_of_an_address = [](char c) { return hex_digit(c) >= 0 || c == ':' || c == '.'; };
        if (host.find(':') == std::string_view::npos || !std::ranges::all_of(host, is_of_an_address))
            return bad_url("between '[' and ']' the Redis URL has no IPv6 address");
    } else {
        const auto end = std::min(text.find(':'), text.size());
        host = text.substr(0, end);
        rest = text.substr(end);
        const auto is_of_a_name = [](char c) { return is_alphanumeric(c) || c == '-' || c == '.' || c == '_'; };
        if (host.empty()) return bad_url("the Redis URL lacks a host");
        if (host.front() == '-' || !std::ranges::all_of(host, is_of_a_name))
            return bad_url(
                "a host of the Redis URL has an odd character; in a password, '/', '@', ':' and '?' are to be "
                "percent-encoded");
    }
    if (!rest.empty()) {
        port = rest.substr(1);
        const auto number = number_up_to(port, 65535);
        if (rest.front() != ':' || !number || *number == 0) return bad_url("a port of the Redis URL is not 1 to 65535");
    }
    address.servers.push_back({std::string(host), std::string(port)});
    return {};
}

Status read_servers(std::string_view text, Address& address) {
    const auto port = address.kind == Address::Kind::sentinel ? default_sentinel_port : default_port;
    for (;;) {
        const auto end = std::min(text.find(','), text.size());
        if (auto status = read_server(text.substr(0, end), port, address); !status) return status;
        if (end == text.size()) break;
        text.remove_prefix(end + 1);
    }
    if (address.kind == Address::Kind::single && address.servers.size() > 1)
        return bad_url("several hosts are for redis+sentinel: or redis+cluster:");
    return {};
}

Status read_credentials(std::string_view text, Address& address) {
    const auto colon = text.find(':');
    if (colon == std::string_view::npos)
        return bad_url("before its '@' the Redis URL has no USER:PASSWORD; the user may be left out, the ':' may not");
    const auto user = without_percents(text.substr(0, colon));
    const auto password = without_percents(text.substr(colon + 1));
    if (!user || !password)
        return bad_url("a '%' in the user or password of the Redis URL lacks two hexadecimal digits");
    if (password->empty()) return bad_url("the Redis URL has a user or '@' and no password");
    address.user = *user;
    address.password = *password;
    return {};
}

/// What follows the servers, without its '/'.
Status read_path(std::string_view path, Address& address) {
    if (address.kind == Address::Kind::cluster) {
        if (path.empty() || path == "0") return {};
        return bad_url("a Redis Cluster has no databases to choose from");
    }
    if (address.kind == Address::Kind::single) return path.empty() ? Status() : read_database(path, address);
    const auto slash = std::min(path.find('/'), path.size());
    address.master = path.substr(0, slash);
    const auto is_fit = [](char c) { return is_alphanumeric(c) || c == '-' || c == '_' || c == '.'; };
    if (address.master.empty() || !std::ranges::all_of(address.master, is_fit))
        return bad_url("the Redis URL does not say as /MASTER what the Sentinels call the master");
    return slash == path.size() ? Status() : read_database(path.substr(slash + 1), address);
}

Status read_socket(std::string_view path, Address& address) {
    if (path.starts_with("//")) {
        path.remove_prefix(2);
        if (const auto at = path.rfind('@'); at != std::string_view::npos) {
            if (auto status = read_credentials(path.substr(0, at), address); !status) return status;
            path.remove_prefix(at + 1);
        }
    }
    const auto plain = without_percents(path);
    if (!plain || plain->size() < 2 || plain->front() != '/' || plain->back() == '/' || plain->starts_with("//"))
        return bad_url(
            "the Redis URL has no absolute path of a socket; write one as \"redis+unix:/run/redis/redis.sock\"");
    if (plain->size() > 107) return bad_url("the path of the socket in the Redis URL is longer than 107 octets");
    address.socket = *plain;
    return {};
}

}  // namespace

bool is_redis_url(std::string_view url) {
    return url.starts_with("redis:") || url.starts_with("rediss:") || url.starts_with("redis+") ||
           url.starts_with("rediss+");
}

Result<Address> parse_redis_url(std::string_view url) {
    if (std::ranges::any_of(url, [](unsigned char c) { return c <= 0x20 || c >= 0x7F; }))
        return bad_url("the Redis URL holds a space or another character that is to be percent-encoded");
    Address address;
    const auto question = std::min(url.find('?'), url.size());
    const auto query = url.substr(std::min(question + 1, url.size()));
    auto rest = url.substr(0, question);
    if (rest.starts_with(unix_scheme)) {
        if (auto status = read_socket(rest.substr(unix_scheme.size()), address); !status) return status.error();
    } else {
        const auto* scheme =
            std::ranges::find_if(schemes, [&](const Scheme& each) { return rest.starts_with(each.name); });
        if (scheme == std::end(schemes))
            return bad_url(
                "a Redis URL starts with redis://, rediss://, redis+unix:, redis+sentinel://, "
                "rediss+sentinel://, redis+cluster:// or rediss+cluster://");
        address.kind = scheme->kind;
        address.tls = scheme->tls;
        rest.remove_prefix(scheme->name.size());
        if (const auto at = rest.rfind('@'); at != std::string_view::npos) {
            if (auto status = read_credentials(rest.substr(0, at), address); !status) return status.error();
            rest.remove_prefix(at + 1);
        }
        const auto slash = std::min(rest.find('/'), rest.size());
        if (auto status = read_servers(rest.substr(0, slash), address); !status) return status.error();
        if (auto status = read_path(rest.substr(std::min(slash + 1, rest.size())), address); !status)
            return status.error();
    }
    if (auto status = read_query(query, address); !status) return status.error();
    return address;
}

}  // namespace popgate::redis
