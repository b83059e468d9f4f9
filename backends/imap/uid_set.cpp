#include "backends/imap/uid_set.hpp"

#include <algorithm>

namespace popgate::imap {

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
