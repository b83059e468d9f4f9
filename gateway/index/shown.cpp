#include "gateway/index/shown.hpp"

#include <algorithm>
#include <functional>

namespace popgate {

namespace {

constexpr std::int64_t seconds_a_day = 86'400;

}  // namespace

Shown choose_shown(const std::vector<StoredMessage>& messages, const MaildropPolicy& policy,
                   const std::vector<bool>& unread, std::uint32_t view_floor, std::int64_t now) {
    Shown shown{{}, view_floor};
    const auto& view = policy.view;
    const auto oldest = now - static_cast<std::int64_t>(view.count) * seconds_a_day;
    const auto is_in_view = [&](std::size_t place) {
        const auto& each = messages[place];
        switch (view.kind) {
            case View::Kind::all: return true;
            case View::Kind::unread: return static_cast<bool>(unread[place]);
            case View::Kind::last_days: return (each.info.arrival ? each.info.arrival : each.first_seen) >= oldest;
            case View::Kind::last_messages: return each.number >= view_floor;
        }
        return true;
    };
    shown.places.reserve(messages.size());
    for (std::size_t i = 0; i < messages.size(); ++i)
        if (!messages[i].hidden && !messages[i].quarantined && is_in_view(i)) shown.places.push_back(i);

    if (view.kind == View::Kind::last_messages && shown.places.size() > view.count) {
        std::vector<std::uint32_t> numbers;
        numbers.reserve(shown.places.size());
        for (const auto place : shown.places) numbers.push_back(messages[place].number);
        const auto first = numbers.begin() + (view.count > 0 ? view.count - 1 : 0);
        std::ranges::nth_element(numbers, first, std::greater());
        shown.view_floor = *first;
        std::erase_if(shown.places, [&](std::size_t place) { return messages[place].number < shown.view_floor; });
    }
    if (policy.order == MessageOrder::newest_first) std::ranges::reverse(shown.places);
    return shown;
}

}  // namespace popgate
