#pragma once

#include "gateway/config/config.hpp"
#include "gateway/index/reconcile.hpp"
#include "gateway/index/shown.hpp"
#include "gateway/net/fiber.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace popgate {

/// What holds for one user's mailbox.
struct IndexRules {
    std::string user;  ///< for the log
    Sizes sizes = Sizes::learned;
    MaildropPolicy policy;
    std::string unique_ids;  ///< the route's format
    std::uint32_t quarantine_after = 3;
    std::chrono::milliseconds reconcile_every{};
    std::chrono::milliseconds patience{};  ///< KnownMailbox::patience
};

/// Those of a configuration. The patience is endless.
IndexRules index_rules(const RouteConfig& route, const Config& config, const std::string& user);

/// How far a first listing has come that takes longer than a client waits.
struct IndexProgress {
    std::uint64_t messages = 0;       ///< that are known
    std::uint64_t still_to_come = 0;  ///< 0: the listing is whole
    bool gets_on = false;             ///< something has come since the last part

    std::uint64_t total() const { return messages + still_to_come; }
    /// Errc::temporary, with the numbers for the client.
    Error error() const;
};

/// The right to remove may end: whoever has lost the maildrop must not. `confirm` is asked before each batch, and
/// nothing more is sent to the mailbox once the time of `until` is over. Empty ones: it lasts.
struct RemovalRight {
    std::function<Status()> confirm{};
    std::function<Deadline()> until{};
};

/// A mailbox that one session has open, with what popgate remembers of it between sessions: the messages that the
/// client is shown, what was learned of them, and what becomes of those that it deletes. Bound to the session's fiber;
/// every call may suspend.
class IndexedMailbox {
public:
    /// `key`: Backend::mailbox_key(). Loads what is remembered, looks at what has changed, measures sizes where the
    /// route wants that, and saves. `mailbox` and `store` must outlive it. A listing that could not be had whole within
    /// the rules' patience is saved, but nobody is shown it: `progress` tells how far it is, and the error is its.
    static Result<std::unique_ptr<IndexedMailbox>> open(Fiber& fiber, StateStore& store, Mailbox& mailbox,
                                                        std::string key, IndexRules rules, IndexProgress& progress);

    /// The messages that the client is shown, in the order of its numbers; once. Their tag is the index's number.
    std::vector<MessageInfo> take_messages() { return std::move(shown_); }
    /// Of the same messages in the same order: whether some session gave a client the whole message.
    std::vector<bool> take_retrieved() { return std::move(retrieved_); }
    std::string unique_id(const MessageInfo& message) const;

    /// The client was given the whole message, which has so many octets. Does not suspend.
    void delivered(const MessageInfo& message, std::uint64_t octets);
    /// The message could not be given. Where the store gives others, it counts towards quarantine.
    void failed(const MessageInfo& message, const std::string& error);
    /// Writes what delivered() has gathered; the second, when there is much of it or for some time.
    void save_delivered();
    void save_now_and_then();

    /// Removes what the client has marked, and what has expired, as the policy says, batch by batch, with a line in the
    /// log for each message. Stops at the first fault.
    ///
    struct Outcome {
        std::uint64_t removed = 0;  ///< of the marked ones
        std::uint64_t failed = 0;
        std::uint64_t unknown = 0;
        Status status;
    };
    Outcome remove(const std::vector<MessageInfo>& marked, const RemovalRight& right = {});

    // For the session's log line.
    std::uint64_t expired() const { return expired_count_; }
    std::uint64_t sizes_corrected() const { return sizes_corrected_; }
    std::uint64_t quarantined() const { return quarantined_count_; }

private:
    IndexedMailbox(Fiber& fiber, StateStore& store, Mailbox& mailbox, std::string key, IndexRules rules);

    Status load_and_list(IndexProgress& progress);
    Result<bool> merge_and_save(StoredMailbox stored, Listing& listing, std::uint32_t known_below,
                                bool looked_at_everything);
    Status tell_returned_apart(Reconciled& merged, const Listing& listing, bool same_format, std::uint32_t known_below,
                               std::map<std::string, std::string, std::less<>>& imported);
    Status retire(const std::vector<MessageInfo>& gone, RetiredIds& retired);
    Result<Shown> choose(const std::vector<StoredMessage>& messages, std::uint32_t view_floor);
    void show(std::vector<StoredMessage> messages, const std::vector<std::size_t>& places);
    Status measure_sizes();
    void expect_behind(std::size_t place);
    Result<std::uint64_t> measure(const MessageInfo& message);
    bool others_can_be_had(const MessageInfo& but);
    Mailbox::RemovalReport apply_policy(const std::vector<MessageInfo>& batch, const RemovalRight& right);
    Mailbox::RemovalReport remove_upstream(const std::vector<MessageInfo>& batch);
    Status hide(const std::vector<MessageInfo>& batch);
    Status change_stored(const std::vector<MessageInfo>& batch, int attempts,
                         const std::function<void(MailboxChange&, MessageChange)>& add);
    static MessageChange change_of(const MessageInfo& message);
    void forget_removed(const std::vector<MessageInfo>& batch, const std::vector<Removal>& outcomes);
    void write_audit_lines(const std::vector<MessageInfo>& batch, const std::vector<Removal>& outcomes) const;
    bool keeps_deleted() const;
    Status save_changes(std::vector<MessageChange> changes, std::uint64_t sizes_corrected, bool durable);

    Fiber& fiber_;
    StateStore& store_;
    Mailbox& mailbox_;
    std::string key_;
    IndexRules rules_;
    StoredHead head_;  // as it is stored
    bool ids_may_return_ = false;
    bool is_stored_ = true;  // the messages' numbers mean them in the store, too
    std::vector<MessageInfo> shown_;
    std::vector<bool> retrieved_;
    std::vector<MessageInfo> expired_;
    std::unordered_map<std::uint32_t, std::uint8_t> failures_;  // by number, those that had some
    std::unordered_map<std::uint32_t, bool> failed_now_;        // in this session
    std::vector<MessageInfo> neighbours_;                       // some messages, to see whether others can be had

    std::vector<MessageChange> delivered_;  // not yet saved
    std::uint64_t unsaved_corrections_ = 0;
    Clock::time_point saved_at_ = Clock::now();
    std::uint64_t sizes_corrected_ = 0;
    std::uint64_t quarantined_count_ = 0;
    std::uint64_t expired_count_ = 0;
};

}  // namespace popgate
