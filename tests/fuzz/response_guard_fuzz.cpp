// The first octet chooses the pieces and what is expected; the rest is what a server sends.
#include "backends/imap/response_guard.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/fuzz/passed_answers.hpp"
#include "tests/fuzz/splitter.hpp"
#include "tests/support/guarded.hpp"

#include <string>

namespace {

using popgate::imap::Answer;
using popgate::imap::ResponseGuard;

Answer expected_by(unsigned choice) {
    if (choice & 1) return Answer::part;
    constexpr Answer others[] = {Answer::plain, Answer::listing, Answer::changes, Answer::folders, Answer::body};
    return others[choice / 2 % 5];
}

void check_same(ResponseGuard& guard, ResponseGuard& whole) {
    FUZZ_CHECK(guard.reason() == whole.reason());
    FUZZ_CHECK(guard.condition() == whole.condition());
    FUZZ_CHECK(guard.complaint() == whole.complaint());
    FUZZ_CHECK(guard.capabilities() == whole.capabilities());
    FUZZ_CHECK(guard.said_bye() == whole.said_bye());
    FUZZ_CHECK(guard.body_left() == whole.body_left());
    FUZZ_CHECK(guard.uid_validity() == whole.uid_validity());
    FUZZ_CHECK(guard.uid_next() == whole.uid_next() && guard.highest_modseq() == whole.highest_modseq());
    FUZZ_CHECK(guard.exists() == whole.exists() && guard.told_exists() == whole.told_exists());
    FUZZ_CHECK(guard.found().ranges() == whole.found().ranges());
    FUZZ_CHECK(guard.vanished().ranges() == whole.vanished().ranges());
    FUZZ_CHECK(guard.listed() == whole.listed());
    FUZZ_CHECK(guard.folders() == whole.folders());
}

void check_what_was_read(ResponseGuard& guard, Answer expected) {
    FUZZ_CHECK(guard.listed().empty() || expected == Answer::listing);
    FUZZ_CHECK(guard.vanished().empty() || expected == Answer::changes);
    FUZZ_CHECK(guard.folders().empty() || expected == Answer::folders);
    for (const auto& each : guard.listed()) FUZZ_CHECK(each.octets <= INT64_MAX && each.arrival >= 0);
    for (const auto& folder : guard.folders())  // it will stand in a command
        for (const unsigned char c : folder.name) FUZZ_CHECK(c >= 0x20 && c < 0x7F);
    auto found = guard.found();
    found.settle();
    std::uint64_t last = 0;
    for (const auto& range : found.ranges()) {
        FUZZ_CHECK(range.first > (last == 0 ? 0 : last + 1) && range.last >= range.first);
        FUZZ_CHECK(found.contains(range.first) && found.contains(range.last));
        last = range.last;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace popgate;
    auto octets = test::as_text(data, size);
    const auto choice = test::take_octet(octets);
    const auto expected = expected_by(choice);
    const bool expect_body = expected == Answer::part || expected == Answer::body;

    ResponseGuard whole;
    whole.begin_command(expected);
    std::string passed;
    const bool accepted = test::feed(whole, octets, passed);
    FUZZ_CHECK(accepted == whole.reason().empty());
    FUZZ_CHECK(test::are_answers_a_parser_bears(passed));
    FUZZ_CHECK(expect_body || whole.body_left() == 0);
    check_what_was_read(whole, expected);
    for (const std::size_t longest : {std::size_t{1}, std::size_t{30}}) {
        ResponseGuard guard;
        guard.begin_command(expected);
        std::string out;
        bool going = true;
        test::split(octets, choice, longest,
                    [&](std::string_view piece) { going = going && test::feed(guard, piece, out); });
        FUZZ_CHECK(going == accepted);
        FUZZ_CHECK(out == passed);
        check_same(guard, whole);
    }
    return 0;
}
