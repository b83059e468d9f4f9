#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace popgate {

/// One line of a conversation that is being traced. Holds no secret and no mail: passwords, tokens and what messages
/// say are left out before it is made.
struct TraceLine {
    std::uint64_t number = 0;  ///< grows from line to line
    std::chrono::system_clock::time_point time{};
    std::uint64_t session = 0;
    std::string side;  ///< "client" or "upstream"
    std::string text;  ///< "> RETR 1": to the server of that side; "< +OK": from it; "- ": a remark
};

/// The live conversations of a few accounts, as long as somebody looks. Any thread may use it.
class Traces {
public:
    using Clock = std::chrono::steady_clock;
    static constexpr std::size_t most_users = 16;
    static constexpr std::size_t kept_lines = 1000;    ///< of a user; older ones go
    static constexpr std::size_t longest_text = 1000;  ///< octets; what is longer is cut

    /// On for `time` from now; zero: off. False where too many are on already.
    bool set(const std::string& user, Clock::duration time, Clock::time_point now);

    /// False while nobody is traced: the one question of a session that is not.
    bool any() const { return users_on_.load(std::memory_order_relaxed) > 0; }
    /// In any case of its letters.
    bool wants(std::string_view user, Clock::time_point now);

    /// Nothing where the user is not traced (any more).
    void add(std::string_view user, std::uint64_t session, std::string_view side, std::string text);

    /// Those of a user after `number`, the oldest first.
    std::vector<TraceLine> lines(std::string_view user, std::uint64_t number);

    std::size_t users_on() const { return users_on_.load(std::memory_order_relaxed); }

private:
    struct User {
        std::string name;  // in lower case
        Clock::time_point until;
        std::deque<TraceLine> lines;
    };
    User* find(std::string_view user);
    void drop_ended(Clock::time_point now);

    std::atomic<std::size_t> users_on_{0};
    std::mutex mutex_;
    std::vector<User> users_;
    std::uint64_t last_number_ = 0;
};

}  // namespace popgate
