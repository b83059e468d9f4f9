// What was packed comes back, and whatever else is there does no harm.
#include "gateway/state/redis/mailbox_codec.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace popgate::redis;
    const auto octets = popgate::test::as_text(data, size);
    (void)unpack_head(octets, "m");
    // The write that it names by itself is the one that it has in front.
    for (const std::uint64_t write : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 50U}) {
        const auto record = unpack_head(seal_head(std::string(octets), write, "m"), "m");
        if (!record) continue;
        const auto again = unpack_head(pack_head(*record, "m"), "m");
        FUZZ_CHECK(again);
        FUZZ_CHECK(again->chunks == record->chunks && again->write == record->write &&
                   again->messages == record->messages && again->head.version == record->head.version);
        FUZZ_CHECK(!unpack_head(pack_head(*record, "m"), "another"));
    }
    return 0;
}
