#pragma once

#include "gateway/commands/header_summary.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace popgate::commands {

/// One message of a server, as far as it can be compared with those of another.
struct Comparable {
    HeaderSummary header;
    std::uint64_t octets = 0;  ///< as the server says; 0: not known
};

/// By what two messages were taken for the same one, the best first.
enum class MatchRule { headers, headers_without_trace, message_id_and_date, message_id, looks };
inline constexpr std::size_t match_rules = 5;

/// "headers", "headers-without-trace", …
std::string_view name_of(MatchRule rule);

struct Match {
    std::size_t old_index = 0;
    std::size_t new_index = 0;
    MatchRule rule = MatchRule::headers;
};

/// Finds the messages of one server at another. A rule sees what the rules before it have left, and decides only where
/// as many messages are equal on the one side as on the other: twins go in order. Where there are more on one side,
/// those go together that are alone with their size, and the others stay for the next rule. No message is matched
/// twice. By `old_index`.
std::vector<Match> match_messages(const std::vector<Comparable>& old_side, const std::vector<Comparable>& new_side);

}  // namespace popgate::commands
