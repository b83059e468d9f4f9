// What the Gmail API may answer; what is understood must be fit for URLs and for a state.
#include "backends/gmail/wire.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"

#include <algorithm>

namespace {

bool is_id(const std::string& id) {
    return !id.empty() && id.size() <= 128 && id.find_first_of(std::string_view("/?#&%.: \r\n\0", 11)) == id.npos;
}

bool is_number(const std::string& text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace popgate::gmail;
    const auto body = popgate::test::as_text(data, size);

    if (const auto page = parse_id_page(body)) FUZZ_CHECK(std::ranges::all_of(page->ids, is_id));
    if (const auto label = parse_label(body)) FUZZ_CHECK(!label->id.empty());
    if (const auto labels = parse_labels(body))
        FUZZ_CHECK(std::ranges::none_of(*labels, [](const auto& label) { return label.id.empty(); }));
    if (const auto detail = parse_detail(body)) {
        FUZZ_CHECK(is_id(detail->id) && detail->arrival >= 0);
        (void)is_under("INBOX", detail->labels);
    }
    if (const auto history = parse_history(body, "INBOX")) {
        FUZZ_CHECK(is_number(history->history_id));
        FUZZ_CHECK(std::ranges::all_of(history->changes, is_id, &HistoryPage::Change::id));
    }
    if (const auto id = parse_history_id(body)) FUZZ_CHECK(is_number(*id));
    (void)is_rate_limit(reason_of(body));
    return 0;
}
