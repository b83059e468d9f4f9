#include "gateway/accounts/secret_file.hpp"
#include "gateway/config/config.hpp"
#include "gateway/config/redis_url.hpp"
#include "gateway/net/tls.hpp"
#include "gateway/state/inspect.hpp"
#include "gateway/state/redis/redis_store.hpp"
#include "gateway/state/sqlite_store.hpp"
#include "gateway/state/state_store.hpp"

#include <unistd.h>

#include <array>
#include <utility>

namespace popgate {

namespace {

Error refuse(std::string text) { return {Errc::permanent, std::move(text), {}}; }

Result<std::unique_ptr<StateStore>> open_redis(const StateConfig& config) {
    auto address = redis::parse_redis_url(config.url);
    if (!address) return address.error();
    redis::StoreOptions options;
    if (!config.password_file.empty()) {
        const auto password = read_secret_file(config.password_file);
        if (!password) return password.error();
        address->password = password->reveal();
    }
    if (address->tls) {
        auto tls = TlsClientContext::make(config.ca_file, true);
        if (!tls) return tls.error();
        options.tls = std::move(*tls);
    }
    options.address = std::move(*address);
    options.node = node_name(config);
    options.leases.life = config.lock_expiry;
    options.leases.replicas = config.replicas;
    options.cache_octets = config.cache;
    options.serves_without_index = config.index_unavailable == WithoutIndex::serve;
    return std::make_unique<redis::RedisStore>(options);
}

}  // namespace

std::string node_name(const StateConfig& config) {
    if (!config.node.empty()) return config.node;
    std::array<char, 256> host{};
    return ::gethostname(host.data(), host.size() - 1) == 0 && host[0] != '\0' ? host.data() : "localhost";
}

Result<std::unique_ptr<StateStore>> open_state_store(const StateConfig& config) {
    constexpr std::string_view scheme = "sqlite:";
    const auto& url = config.url;
    if (redis::is_redis_url(url)) return open_redis(config);
    if (!url.starts_with(scheme))
        return refuse("no kind of state store is named so; known are \"sqlite:/path\" (also \"sqlite:\" for " +
                      state_path(scheme) + ", and \"sqlite::memory:\") and \"redis://host\"");
    const auto rest = url.substr(scheme.size());
    if (rest == ":memory:") return std::make_unique<SqliteStore>(std::string());
    const auto path = state_path(url);
    if (path.front() != '/') return refuse("the path behind \"sqlite:\" is not absolute: it must begin with '/'");
    if (path.back() == '/' || path.find('\0') != std::string::npos)
        return refuse("the path behind \"sqlite:\" names no file");
    return std::make_unique<SqliteStore>(path);
}

}  // namespace popgate
