// What a state file holds may be damaged: it is read as what can be written again the same, or refused.
#include "gateway/state/message_codec.hpp"
#include "gateway/state/packing.hpp"
#include "gateway/state/unique_id_codec.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"

#include <tuple>
#include <vector>

namespace {

using namespace popgate;

auto values(const StoredMessage& m) {
    return std::tie(m.number, m.info.id, m.info.octets, m.info.octets_are_exact, m.info.arrival, m.info.unique_id,
                    m.first_seen, m.retrieved, m.failures, m.hidden, m.quarantined);
}

void check_messages(std::string_view packed, std::uint32_t chunk) {
    std::vector<StoredMessage> messages(1), again;
    if (!unpack_messages(packed, chunk, messages)) {
        FUZZ_CHECK(messages.size() == 1);
        return;
    }
    messages.erase(messages.begin());
    FUZZ_CHECK(!messages.empty() && messages.size() <= chunk_span);
    std::uint64_t before = 0;
    for (const auto& message : messages) {
        FUZZ_CHECK(message.number > before || (before == 0 && message.number > 0));
        FUZZ_CHECK(chunk_of(message.number) == chunk && !message.info.id.empty());
        before = message.number;
    }
    FUZZ_CHECK(unpack_messages(pack_messages(messages), chunk, again));
    FUZZ_CHECK(again.size() == messages.size());
    for (std::size_t i = 0; i < again.size(); ++i) FUZZ_CHECK(values(again[i]) == values(messages[i]));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto input = test::as_text(data, size);
    const auto choice = test::take_octet(input);
    if (choice == 0) {
        if (const auto records = unpack_records(input)) FUZZ_CHECK(unpack_records(pack_records(*records)) == records);
    } else if (choice == 1) {
        if (const auto ids = unpack_imported(input)) FUZZ_CHECK(unpack_imported(pack_imported(*ids)) == ids);
    } else if (choice == 2) {
        if (const auto packed = packing::unsealed(input, 7))
            FUZZ_CHECK(packing::sealed(std::string(*packed), 7) == input);
    } else {
        check_messages(input, choice == 255 ? 8'388'607 : choice - 3U);
    }
    return 0;
}
