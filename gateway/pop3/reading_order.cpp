#include "gateway/pop3/reading_order.hpp"

#include <algorithm>

namespace popgate::pop3 {

namespace {

/// The next one in that direction that is not marked; 0 where there is none.
std::uint64_t neighbour(const Maildrop& maildrop, std::uint64_t number, std::int8_t step) {
    do number = step > 0 ? number + 1 : number - 1;
    while (maildrop.exists(number) && maildrop.is_marked(number));
    return maildrop.exists(number) ? number : 0;
}

}  // namespace

std::vector<const MessageInfo*> ReadingOrder::on_retrieval(const Maildrop& maildrop, std::uint64_t number) {
    std::int8_t step = 0;
    if (last_ != 0 && number != last_) {
        step = number > last_ ? std::int8_t{1} : std::int8_t{-1};
        if (neighbour(maildrop, last_, step) != number) step = 0;
    }
    reach_ = step == 0 || (step_ != 0 && step != step_) ? 0 : std::clamp<std::size_t>(4 * reach_, 16, longest_reach);
    step_ = step;
    last_ = number;
    std::vector<const MessageInfo*> next;
    for (auto at = number; next.size() < reach_ && (at = neighbour(maildrop, at, step)) != 0;)
        next.push_back(&maildrop.message(at));
    return next;
}

}  // namespace popgate::pop3
