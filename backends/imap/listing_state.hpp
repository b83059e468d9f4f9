#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace popgate::imap {

/// What SELECT told at the end of a look at a mailbox: the text of Listing::state, where the next look may begin.
struct ListingState {
    std::uint32_t uid_validity = 0;
    std::uint32_t uid_next = 0;        ///< 0 where the server does not tell it
    std::uint64_t highest_modseq = 0;  ///< 0 likewise
    bool has_dates = true;             ///< of all messages
    bool operator==(const ListingState&) const = default;
};

std::string to_text(const ListingState& state);
/// Nothing for what to_text() did not write.
std::optional<ListingState> parse_listing_state(std::string_view text);

}  // namespace popgate::imap
