#pragma once

#include "backends/mailbox.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace popgate::pop3 {

/// The snapshot of a mailbox that one session sees (RFC 1939 §4-§6). Message numbers are 1 to count() and never change;
/// number n is messages_[n - 1]. A message that is marked is skipped everywhere and keeps its number.
class Maildrop {
public:
    using UniqueId = std::function<std::string(const MessageInfo&)>;

    /// `only_retrieved`: what no client was ever given whole cannot be marked; `retrieved_before` tells of each
    /// message.
    Maildrop(std::vector<MessageInfo> messages, UniqueId unique_id, bool only_retrieved = false,
             const std::vector<bool>& retrieved_before = {});

    /// Every message of the snapshot, marked or not.
    std::uint64_t count() const { return messages_.size(); }
    std::uint64_t count_left() const { return messages_.size() - marked_count_; }
    std::uint64_t octets_left() const { return octets_left_; }
    std::uint64_t marked_count() const { return marked_count_; }

    bool exists(std::uint64_t number) const { return number >= 1 && number <= messages_.size(); }
    /// Only for a number that exists().
    bool is_marked(std::uint64_t number) const { return state(number).marked; }
    const MessageInfo& message(std::uint64_t number) const { return messages_[number - 1]; }
    std::string unique_id(std::uint64_t number) const { return unique_id_(message(number)); }

    /// Nothing can be marked from now on.
    void make_read_only() { is_read_only_ = true; }
    bool is_read_only() const { return is_read_only_; }

    /// False where the policy wants the message to be retrieved first.
    bool may_be_marked(std::uint64_t number) const { return !only_retrieved_ || state(number).given_whole; }

    /// DELE and RSET.
    void mark(std::uint64_t number);
    void unmark_all();

    /// Remembers that the client was given the whole message, by RETR or by a TOP of all its lines.
    void set_given_whole(std::uint64_t number, bool by_retr) {
        auto& state = states_[number - 1];
        state.given_whole = true;
        state.retrieved = state.retrieved || by_retr;
    }

    /// What QUIT is to remove, and what it is to mark as read (retrieved, and not to be removed).
    std::vector<MessageInfo> marked() const;
    std::vector<MessageInfo> retrieved() const;

private:
    struct State {
        bool marked = false;
        bool retrieved = false;
        bool given_whole = false;  // in this session or in an earlier one
    };
    const State& state(std::uint64_t number) const { return states_[number - 1]; }

    std::vector<MessageInfo> messages_;
    std::vector<State> states_;
    UniqueId unique_id_;
    bool only_retrieved_;
    bool is_read_only_ = false;
    std::uint64_t octets_ = 0;
    std::uint64_t octets_left_ = 0;
    std::uint64_t marked_count_ = 0;
};

}  // namespace popgate::pop3
