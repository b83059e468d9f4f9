#pragma once

#include "gateway/commands/doctor_machine.hpp"
#include "gateway/commands/findings.hpp"
#include "gateway/config/config.hpp"
#include "gateway/net/fiber.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace popgate::commands {

/// Name look-ups, then what is behind the names: each upstream, provider and web hook, side by side, each within 10 s.
/// Nobody logs in anywhere. Suspends. `now`: seconds since 1970, when asked.
std::vector<Finding> examine_network(Fiber& fiber, const Config& config, std::int64_t (*now)());

/// What a route needs of an IMAP server.
enum class ImapLogin { password, token, master };
ImapLogin imap_login_of(const RouteConfig& route);

/// Whether a server with these capabilities (upper case, separated by spaces) lets popgate in as the route wants, and
/// removes messages. Pure.
std::vector<Finding> judge_capabilities(const std::string& url, std::string_view capabilities, ImapLogin login);

/// Seconds since 1970 of an HTTP date as servers write it (IMF-fixdate, RFC 9110 §5.6.7). Pure.
std::optional<std::int64_t> parse_http_date(std::string_view text);

}  // namespace popgate::commands
