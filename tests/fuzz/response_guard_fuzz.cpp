// The first octet chooses the pieces and whether a body is expected; the rest is what a server sends.
#include "backends/imap/response_guard.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/fuzz/passed_answers.hpp"
#include "tests/fuzz/splitter.hpp"

#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace popgate;
    auto octets = test::as_text(data, size);
    const auto choice = test::take_octet(octets);
    const bool expect_body = choice & 1;

    imap::ResponseGuard whole;
    whole.begin_command(expect_body);
    std::string passed;
    const bool accepted = whole.feed(octets, passed);
    FUZZ_CHECK(accepted == whole.reason().empty());
    FUZZ_CHECK(test::are_answers_a_parser_bears(passed));
    FUZZ_CHECK(expect_body || whole.body_left() == 0);
    for (const std::size_t longest : {std::size_t{1}, std::size_t{30}}) {
        imap::ResponseGuard guard;
        guard.begin_command(expect_body);
        std::string out;
        bool going = true;
        test::split(octets, choice, longest, [&](std::string_view piece) { going = going && guard.feed(piece, out); });
        FUZZ_CHECK(going == accepted);
        FUZZ_CHECK(out == passed);
        FUZZ_CHECK(guard.reason() == whole.reason());
        FUZZ_CHECK(guard.condition() == whole.condition());
        FUZZ_CHECK(guard.complaint() == whole.complaint());
        FUZZ_CHECK(guard.capabilities() == whole.capabilities());
        FUZZ_CHECK(guard.said_bye() == whole.said_bye());
        FUZZ_CHECK(guard.body_left() == whole.body_left());
        FUZZ_CHECK(guard.uid_validity() == whole.uid_validity());
        FUZZ_CHECK(guard.exists() == whole.exists() && guard.told_exists() == whole.told_exists());
        FUZZ_CHECK(guard.found() == whole.found());
    }
    return 0;
}
