// The first octet chooses the pieces and whether a body is expected; the rest is what a server sends.
#include "backends/imap/response_guard.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/fuzz/splitter.hpp"

#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace popgate;
    auto octets = test::as_text(data, size);
    const auto choice = test::take_octet(octets);
    const bool expect_body = choice & 1;

    imap::ResponseGuard whole;
    whole.begin_command(expect_body);
    const bool accepted = whole.feed(octets);
    FUZZ_CHECK(accepted == whole.reason().empty());
    for (const std::size_t longest : {std::size_t{1}, std::size_t{30}}) {
        imap::ResponseGuard guard;
        guard.begin_command(expect_body);
        bool going = true;
        test::split(octets, choice, longest, [&](std::string_view piece) { going = going && guard.feed(piece); });
        FUZZ_CHECK(going == accepted);
        FUZZ_CHECK(guard.reason() == whole.reason());
        FUZZ_CHECK(guard.complaint() == whole.complaint());
        FUZZ_CHECK(guard.capabilities() == whole.capabilities());
        FUZZ_CHECK(guard.said_bye() == whole.said_bye());
    }
    return 0;
}
