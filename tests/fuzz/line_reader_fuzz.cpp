// The first octet chooses the pieces, the second the limit; the rest is what a client sends.
#include "gateway/pop3/line_reader.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/fuzz/splitter.hpp"

#include <optional>
#include <string>
#include <vector>

namespace {

using namespace popgate;

/// A line, or nothing where one was too long.
using Events = std::vector<std::optional<std::string>>;

Events read_naively(std::string_view octets, std::size_t limit) {
    Events events;
    for (;;) {
        const auto end = octets.find('\n');
        if (end == std::string_view::npos) {
            if (octets.size() > limit + 1) events.emplace_back();
            return events;
        }
        auto line = octets.substr(0, end);
        octets.remove_prefix(end + 1);
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.size() > limit)
            events.emplace_back();
        else
            events.emplace_back(line);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto octets = test::as_text(data, size);
    const auto seed = test::take_octet(octets);
    const std::size_t limit = test::take_octet(octets) % 64;
    const auto expected = read_naively(octets, limit);
    for (const std::size_t longest : {std::size_t{1}, std::size_t{7}, octets.size() + 1}) {
        pop3::LineReader reader(limit);
        Events events;
        test::split(octets, seed, longest, [&](std::string_view piece) {
            reader.feed(piece);
            std::string_view line;
            for (;;) {
                const auto event = reader.next(line);
                if (event == pop3::LineReader::Event::none) return;
                if (event == pop3::LineReader::Event::too_long)
                    events.emplace_back();
                else
                    events.emplace_back(line);
            }
        });
        FUZZ_CHECK(events == expected);
        FUZZ_CHECK(reader.empty() == (octets.empty() || octets.back() == '\n'));
    }
    return 0;
}
