#include "backends/imap/uid_set.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace popgate::imap {

void UidSet::add(std::uint32_t first, std::uint32_t last) {
    if (first > last) std::swap(first, last);
    if (last == 0) return;
    first = std::max(first, 1u);
    if (!ranges_.empty() && ranges_.back().last + std::uint64_t{1} == first)
        ranges_.back().last = last;
    else
        ranges_.push_back({first, last});
}

bool UidSet::add_text(std::string_view text, std::size_t most_ranges) {
    const auto take_number = [&](std::uint32_t& number) {
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        text.remove_prefix(static_cast<std::size_t>(end - text.data()));
        return error == std::errc{};
    };
    do {
        std::uint32_t first = 0;
        if (!take_number(first)) return false;
        auto last = first;
        if (text.starts_with(':')) {
            text.remove_prefix(1);
            if (!take_number(last)) return false;
        }
        add(first, last);
        if (ranges_.size() > most_ranges) return false;
        if (text.empty()) return true;
        if (text.front() != ',') return false;
        text.remove_prefix(1);
    } while (true);
}

void UidSet::settle() {
    std::ranges::sort(ranges_, {}, &Range::first);
    std::size_t kept = 0;
    for (const auto& range : ranges_) {
        if (kept > 0 && range.first <= ranges_[kept - 1].last + std::uint64_t{1})
            ranges_[kept - 1].last = std::max(ranges_[kept - 1].last, range.last);
        else
            ranges_[kept++] = range;
    }
    ranges_.resize(kept);
}

std::uint64_t UidSet::size() const {
    std::uint64_t count = 0;
    for (const auto& range : ranges_) count += range.last - range.first + std::uint64_t{1};
    return count;
}

bool UidSet::contains(std::uint32_t uid) const {
    const auto next = std::ranges::upper_bound(ranges_, uid, {}, &Range::first);
    return next != ranges_.begin() && std::prev(next)->last >= uid;
}

std::vector<std::string> make_uid_sets(std::vector<std::uint32_t> uids, std::size_t longest) {
    std::ranges::sort(uids);
    uids.erase(std::unique(uids.begin(), uids.end()), uids.end());
    std::vector<std::string> sets;
    for (std::size_t i = 0; i < uids.size();) {
        std::size_t last = i;
        while (last + 1 < uids.size() && uids[last + 1] == uids[last] + 1) ++last;
        auto range = std::to_string(uids[i]);
        if (last > i) range += ":" + std::to_string(uids[last]);
        if (sets.empty() || sets.back().size() + 1 + range.size() > longest)
            sets.push_back(std::move(range));
        else
            sets.back() += "," + range;
        i = last + 1;
    }
    return sets;
}

}  // namespace popgate::imap
