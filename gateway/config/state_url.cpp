#include "gateway/config/state_url.hpp"

#include "gateway/config/config.hpp"
#include "gateway/config/names.hpp"
#include "gateway/config/redis_url.hpp"

namespace popgate {

namespace {

constexpr std::string_view kind = "sqlite:";
constexpr std::string_view memory = ":memory:";
constexpr std::string_view example = R"("sqlite:/var/lib/popgate/state.db")";

bool is_absolute(const char* folder) { return folder && folder[0] == '/'; }

}  // namespace

std::string why_bad_state_url(std::string_view url) {
    if (redis::is_redis_url(url)) {
        const auto address = redis::parse_redis_url(url);
        return address ? std::string() : address.error().text;
    }
    const std::size_t colon = url.find(':');
    if (colon == std::string_view::npos) {
        return in_quotes(url) + " is no URL of a store; write one as " + std::string(example);
    }
    // No more than the kind: what follows may hold a password.
    if (!url.starts_with(kind)) {
        return "this version does not have " + in_quotes(url.substr(0, colon + 1)) + "; it has " + in_quotes(kind) +
               " and \"redis:\"";
    }
    const std::string_view path = url.substr(kind.size());
    if (path.empty() || path == memory) return {};
    if (path.front() != '/') return in_quotes(url) + " holds no absolute path; write it as " + std::string(example);
    if (path.back() == '/') return in_quotes(url) + " names a folder; write it as " + std::string(example);
    return {};
}

bool is_state_in_memory(std::string_view url) { return url.starts_with(kind) && url.substr(kind.size()) == memory; }

std::string personal_state_url(bool is_root, const char* state_home, const char* home) {
    const bool has_state_home = is_absolute(state_home);
    if (is_root || (!has_state_home && !is_absolute(home))) return StateConfig{}.url;
    const std::string folder = has_state_home ? state_home : std::string(home) + "/.local/state";
    return std::string(kind) + folder + "/popgate/state.db";
}

}  // namespace popgate
