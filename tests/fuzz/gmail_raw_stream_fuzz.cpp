// The first octet chooses the pieces; the rest is the answer. In whatever pieces it comes, it must give the same, and
// what it takes for a message must be what a parser of whole texts finds there.
#include "backends/gmail/raw_stream.hpp"
#include "backends/http/json.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/fuzz/splitter.hpp"

#include <boost/json/parse.hpp>

#include <optional>
#include <string>

namespace {

using namespace popgate;

class TextSink final : public BodySink {
public:
    bool write(std::string_view octets) noexcept override {
        text += octets;
        return true;
    }
    std::string text;
};

std::optional<std::string> read(std::string_view json, std::uint32_t seed, std::size_t longest) {
    TextSink sink;
    gmail::RawStream stream(sink);
    bool wants_more = true;
    test::split(json, seed, longest, [&](std::string_view piece) { wants_more = wants_more && stream.write(piece); });
    const auto status = stream.finish();
    FUZZ_CHECK(stream.octets() == sink.text.size());
    if (!status) {
        FUZZ_CHECK(status.error().code == Errc::temporary);
        return std::nullopt;
    }
    FUZZ_CHECK(wants_more);
    return sink.text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto json = test::as_text(data, size);
    const auto seed = test::take_octet(json);
    const auto whole = read(json, seed, json.size() + 1);
    for (const std::size_t longest : {1, 2, 7, 64}) FUZZ_CHECK(read(json, seed, longest) == whole);
    if (!whole) return 0;

    const auto value = http::parse_json(json, "");
    FUZZ_CHECK(value);
    const auto* raw = http::find(*value, "raw");
    FUZZ_CHECK(raw && raw->is_string());
    auto digits = std::string(raw->as_string());
    while (digits.ends_with('=')) digits.pop_back();
    FUZZ_CHECK(digits.size() * 3 / 4 == whole->size());
    return 0;
}
