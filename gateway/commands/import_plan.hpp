#pragma once

#include "backends/mailbox.hpp"
#include "gateway/commands/match.hpp"
#include "gateway/commands/pop3_client.hpp"
#include "gateway/state/state_store.hpp"

#include <array>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace popgate::commands {

/// The maildrop at the old server. One entry of `contents` a message.
struct OldMaildrop {
    std::vector<Pop3Message> messages;
    std::vector<Comparable> contents;
};

/// The same mailbox where popgate will serve it from. One entry of `contents` a message.
struct NewMailbox {
    Listing listing;
    std::vector<Comparable> contents;
};

/// Whether an old unique-id can be given to a message.
enum class Fitness { fit, invalid, given_twice };

/// What an import finds, and what it would write.
struct ImportPlan {
    std::vector<Match> matches;
    std::array<std::size_t, match_rules> by_rule{};
    std::vector<Fitness> fitness;            ///< one an old message
    std::vector<std::size_t> unmatched_old;  ///< indexes
    std::vector<std::size_t> unmatched_new;
    std::map<std::string, std::string, std::less<>> unique_ids;  ///< all that holds afterwards, by MessageInfo::id
    std::size_t imported = 0;                                    ///< of unique_ids, those of this import
    std::size_t kept = 0;                                        ///< of unique_ids, those of an earlier import
    std::size_t dropped = 0;                                     ///< of an earlier import, those that no longer hold

    /// Every old message was found, and its id is of use.
    bool complete() const { return unmatched_old.empty() && imported == fitness.size(); }
};

/// Matches, and joins the outcome with what an earlier import into the same generation has left: messages may have
/// been removed from the old server since.
ImportPlan plan_import(const OldMaildrop& old_maildrop, const NewMailbox& new_mailbox, const StoredMailbox& stored);

}  // namespace popgate::commands
