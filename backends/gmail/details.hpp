#pragma once

#include "backends/gmail/api.hpp"

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace popgate::gmail {

/// Asks for the details of messages, in batches of a size that the server turns out to bear.
class DetailReader {
public:
    /// `most_units`: what one batch may cost at most.
    DetailReader(Api& api, std::uint32_t most_units);

    /// Takes off `ids` what was answered, and adds it to `found` where it is still there. Stops at `until`, and at an
    /// error; what was found before is good. May suspend.
    Status read(std::vector<std::string>& ids, std::optional<Deadline> until, std::vector<Detail>& found);

    /// Of the last read(), taken off its ids as well: very few, for which the server had nothing but errors, some times
    /// over. Many are an error of the whole.
    const std::vector<std::string>& unanswered() const { return unanswered_; }

private:
    Status read_batch(std::vector<std::string>& ids, std::vector<Detail>& found);

    Api& api_;
    std::size_t most_;
    std::size_t size_;
    unsigned refused_ = 0;                              // batches that brought nothing, one after another
    std::unordered_map<std::string, unsigned> errors_;  // of messages of which the server told nothing else yet
    std::vector<std::string> unanswered_;
};

}  // namespace popgate::gmail
