#pragma once

#include "backends/gmail/api.hpp"
#include "backends/gmail/details.hpp"
#include "backends/mailbox.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace popgate::gmail {

/// Where the next look may begin: the text of Listing::state.
struct ListingState {
    /// Digits; empty: messages were still to come, and all ids must be listed again.
    std::string history_id;
    /// Messages that the label counts and that are not listed: what is in the trash or spam and bears the label.
    /// Less than zero where the list had more than the label counts.
    std::int64_t uncounted = 0;
    bool operator==(const ListingState&) const = default;
};
std::string to_text(const ListingState& state);
/// Nothing for what to_text() did not write.
std::optional<ListingState> parse_listing_state(std::string_view text);

/// Looks at the messages under one label:
/// - what history tells since the last look, where the label counts as many messages afterwards;
/// - else the ids of all, listed until they agree with what the label counts, and details of those that are not known.
class Look {
public:
    /// `label` was asked for just now. `most_units`: what one request may cost.
    Look(Api& api, Label label, std::uint32_t most_units, KnownMailbox known);

    /// To be called once. Errors are temporary, but for a token that may not read.
    Result<Listing> list();

private:
    Status learn(std::vector<std::string> ids);
    Result<bool> changes();
    Status everything();
    Status confirm_vanished();
    void guess_arrivals();
    Result<std::vector<std::string>> all_ids();
    Result<std::uint64_t> count();
    std::size_t count_there() const;
    Listing put_together();

    Api& api_;
    Label label_;
    KnownMailbox known_;
    std::optional<ListingState> before_;
    std::optional<Deadline> until_;
    DetailReader reader_;
    std::unordered_map<std::string, std::size_t> places_;  // of known messages, by id
    std::vector<bool> is_there_;                           // of known messages, by place
    std::vector<MessageInfo> fresh_;
    std::vector<std::string> undescribed_;      // listed, not known, and without details for now
    std::unordered_set<std::string> vanished_;  // of those that were asked for
    std::size_t to_come_ = 0;
    bool adds_up_ = true;  // the list of all, with what the label counts
    ListingState state_;
};

}  // namespace popgate::gmail
