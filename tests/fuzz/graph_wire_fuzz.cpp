// Whatever Microsoft Graph says is read or refused, and what was read of it keeps its promises.
#include "backends/graph/listing.hpp"
#include "backends/graph/wire.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"

#include <string>

using namespace popgate;
using namespace popgate::graph;

namespace {

void check_page(std::string_view json) {
    const auto page = parse_page(json);
    if (!page) return;
    Snapshot snapshot({{.id = "known", .octets = 7, .tag = 1, .octets_are_exact = true}});
    for (const auto& item : page->items) {
        FUZZ_CHECK(!item.id.empty());
        for (const char c : item.id) FUZZ_CHECK(c > 0x20 && c < 0x7F);
        snapshot.apply(item);
    }
    const auto expected = snapshot.size(true);
    FUZZ_CHECK(snapshot.size(false) <= expected && expected <= page->items.size() + 1);
    const auto messages = snapshot.take(true);
    FUZZ_CHECK(messages.size() == expected);
    for (std::size_t i = 0; i < messages.size(); ++i) {
        FUZZ_CHECK((messages[i].tag == 1) == (messages[i].id == "known"));
        if (messages[i].tag == 1) FUZZ_CHECK(messages[i].octets == 7);
        if (i > 0) FUZZ_CHECK(messages[i - 1].arrival <= messages[i].arrival && messages[i - 1].id != messages[i].id);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto text = test::as_text(data, size);
    switch (test::take_octet(text) % 5) {
        case 0: check_page(text); break;
        case 1: {
            const auto answers = parse_batch(text, batch_size);
            FUZZ_CHECK(!answers || answers->size() == batch_size);
            break;
        }
        case 2:
            if (const auto folder = parse_folder(text)) FUZZ_CHECK(!folder->id.empty());
            (void)parse_folders(text);
            break;
        case 3: (void)parse_error_code(text); break;
        default:
            if (const auto state = parse_listing_state(text)) FUZZ_CHECK(parse_listing_state(to_text(*state)) == state);
    }
    return 0;
}
