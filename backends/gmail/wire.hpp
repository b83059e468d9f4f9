#pragma once

#include "backends/errors.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// What the Gmail API answers, as values (https://developers.google.com/gmail/api/reference/rest). Pure. Each parser
/// answers Errc::temporary for what is not such an answer: nothing that an error page could be taken for.
namespace popgate::gmail {

/// Of users.messages.list. A page without ids is not the last one where it names another.
struct IdPage {
    std::vector<std::string> ids;
    std::string next_page;  ///< empty: this was the last
};
Result<IdPage> parse_id_page(std::string_view body);

struct Label {
    std::string id;
    std::string name;                  ///< UTF-8
    std::uint64_t messages_total = 0;  ///< users.labels.list does not tell it
};
Result<Label> parse_label(std::string_view body);
Result<std::vector<Label>> parse_labels(std::string_view body);

/// Of users.messages.get with format=minimal.
struct Detail {
    std::string id;
    std::uint64_t octets = 0;  ///< an estimate
    std::int64_t arrival = 0;  ///< seconds since 1970; 0 when unknown
    std::vector<std::string> labels;
};
Result<Detail> parse_detail(std::string_view body);

/// Whether a message with these labels is found under `label`: what is in the trash or is spam shows there alone.
bool is_under(const std::string& label, const std::vector<std::string>& labels);

/// Of users.history.list: what happened to messages, in its order.
struct HistoryPage {
    struct Change {
        std::string id;
        bool has_left = false;  ///< no longer under the label; else it may have come, which must be asked
    };
    std::vector<Change> changes;
    std::string history_id;  ///< of the mailbox when the page was made; digits
    std::string next_page;
};
Result<HistoryPage> parse_history(std::string_view body, const std::string& label);

/// Of users.getProfile: digits.
Result<std::string> parse_history_id(std::string_view body);

/// What an error's body gives as its reason ("userRateLimitExceeded"); empty for a body of another kind.
std::string reason_of(std::string_view body);
/// True for a reason that means: slower, and again later.
bool is_rate_limit(std::string_view reason);
/// True for a reason that means: the token's scopes do not reach.
bool is_lack_of_scope(std::string_view reason);

}  // namespace popgate::gmail
