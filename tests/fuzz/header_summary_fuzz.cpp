// The first octet chooses the pieces; the rest is a message. What is collected and what is compared must not depend on
// how it came, nor on how its lines end.
#include "gateway/commands/header_summary.hpp"
#include "gateway/commands/match.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/fuzz/splitter.hpp"

#include <string>

namespace {

using namespace popgate::commands;

std::string header_naively(std::string_view message) {
    std::string header;
    while (!message.empty()) {
        const auto end = message.find('\n');
        if (end == std::string_view::npos) return header.append(message);
        auto line = message.substr(0, end);
        message.remove_prefix(end + 1);
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.empty()) return header;
        header.append(line) += '\n';
    }
    return header;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto message = popgate::test::as_text(data, size);
    const auto seed = popgate::test::take_octet(message);
    const std::string header = header_naively(message);
    for (const std::size_t longest : {std::size_t{1}, std::size_t{7}, message.size() + 1}) {
        HeaderCollector collector;
        popgate::test::split(message, seed, longest, [&](std::string_view piece) { collector.write(piece); });
        FUZZ_CHECK(collector.text() == header);
    }
    const HeaderSummary summary = summarise_header(header);
    FUZZ_CHECK(summary.block.empty() || summary.block.size() == 32);
    for (const std::string* value : {&summary.message_id, &summary.date, &summary.from, &summary.subject})
        FUZZ_CHECK(value->size() <= 998 && value->find_first_of("\r\n\t") == std::string::npos);
    // What a mail store writes for itself changes nothing.
    const HeaderSummary marked = summarise_header("Status: RO\n" + header);
    const bool folded = header.starts_with(' ') || header.starts_with('\t');
    FUZZ_CHECK(folded || (marked.block == summary.block && marked.looks == summary.looks));
    FUZZ_CHECK(folded || marked.block_without_trace == summary.block_without_trace);

    const auto matches = match_messages({{summary, 1}, {marked, 2}}, {{marked, 2}, {summary, 1}});
    const bool comparable = !summary.block.empty() && !folded;
    FUZZ_CHECK(!comparable || (matches.size() == 2 && matches[0].new_index == 1 && matches[1].new_index == 0));
    return 0;
}
