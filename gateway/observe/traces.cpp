#include "gateway/observe/traces.hpp"

#include "backends/ascii.hpp"

#include <algorithm>
#include <utility>

namespace popgate {

bool Traces::set(const std::string& user, Clock::duration time, Clock::time_point now) {
    const std::lock_guard guard(mutex_);
    drop_ended(now);
    auto* known = find(user);
    if (time > Clock::duration::zero()) {
        if (!known && users_.size() >= most_users) return false;
        if (!known) known = &users_.emplace_back(User{in_lower_case(user), {}, {}});
        known->until = now + time;
    } else if (known) {
        known->until = now;
        drop_ended(now);
    }
    users_on_ = users_.size();
    return true;
}

bool Traces::wants(std::string_view user, Clock::time_point now) {
    if (!any()) return false;
    const std::lock_guard guard(mutex_);
    drop_ended(now);
    return find(user) != nullptr;
}

void Traces::add(std::string_view user, std::uint64_t session, std::string_view side, std::string text) {
    const std::lock_guard guard(mutex_);
    auto* known = find(user);
    if (!known) return;
    if (text.size() > longest_text) text.resize(longest_text);
    known->lines.push_back(
        {++last_number_, std::chrono::system_clock::now(), session, std::string(side), std::move(text)});
    if (known->lines.size() > kept_lines) known->lines.pop_front();
}

std::vector<TraceLine> Traces::lines(std::string_view user, std::uint64_t number) {
    const std::lock_guard guard(mutex_);
    std::vector<TraceLine> found;
    if (const auto* known = find(user))
        std::ranges::copy_if(known->lines, std::back_inserter(found),
                             [&](const TraceLine& line) { return line.number > number; });
    return found;
}

Traces::User* Traces::find(std::string_view user) {
    const auto found =
        std::ranges::find_if(users_, [&](const User& each) { return equal_but_for_case(each.name, user); });
    return found == users_.end() ? nullptr : &*found;
}

void Traces::drop_ended(Clock::time_point now) {
    std::erase_if(users_, [&](const User& each) { return each.until <= now; });
    users_on_ = users_.size();
}

}  // namespace popgate
