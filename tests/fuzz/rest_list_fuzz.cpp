// The first octet chooses the places and the pieces; the rest is the answer. In whatever pieces it comes, it must give the
// same, and as many elements as a parser of whole texts finds there, with the same ids.
#include "backends/http/json.hpp"
#include "backends/rest/list_stream.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/fuzz/splitter.hpp"

#include <boost/json/value.hpp>

#include <optional>
#include <string>
#include <vector>

namespace {

using namespace popgate;

struct List {
    std::vector<std::vector<std::string>> elements;
    std::vector<std::string> values;
    bool operator==(const List&) const = default;
};

std::optional<List> read(std::string_view json, std::string_view array, std::uint32_t seed, std::size_t longest) {
    rest::ListStream stream(array, {"/id", "/a/0", "", "/id"}, {"/next", "", "/a/n"});
    bool wants_more = true;
    test::split(json, seed, longest, [&](std::string_view piece) { wants_more = wants_more && stream.write(piece); });
    const auto status = stream.finish();
    for (const auto& element : stream.elements) {
        FUZZ_CHECK(element.size() == 4);
        for (const auto& text : element) FUZZ_CHECK(text.size() <= 4096);
    }
    if (!status) {
        FUZZ_CHECK(status.error().code == Errc::temporary);
        return std::nullopt;
    }
    FUZZ_CHECK(wants_more);
    FUZZ_CHECK(stream.values.size() == 3);
    return List{stream.elements, stream.values};
}

bool has_key_twice(std::string_view json) {
    // The stream refuses a list that comes twice; a parser of whole texts keeps the last, of an id either.
    const auto first = json.find("\"id\"");
    return json.find('\\') != std::string_view::npos ||
           (first != std::string_view::npos && json.find("\"id\"", first + 1) != std::string_view::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto json = test::as_text(data, size);
    const auto seed = test::take_octet(json);
    const std::string array = seed % 2 == 0 ? "/a" : "";
    const auto whole = read(json, array, seed, json.size() + 1);
    for (const std::size_t longest : {1, 2, 7, 64}) FUZZ_CHECK(read(json, array, seed, longest) == whole);
    if (!whole) return 0;

    const auto value = http::parse_json(json, "");
    if (!value) return 0;  // nested a little deeper than that takes
    const auto* list = array.empty() ? &*value : http::find(*value, "a");
    FUZZ_CHECK(list && list->is_array());
    FUZZ_CHECK(list->as_array().size() == whole->elements.size());
    if (has_key_twice(json)) return 0;
    for (std::size_t i = 0; i < whole->elements.size(); ++i) {
        const auto* id = http::find(list->as_array()[i], "id");
        if (id && id->is_string()) FUZZ_CHECK(whole->elements[i][0] == id->as_string());
        if (!id) FUZZ_CHECK(whole->elements[i][0].empty());
        FUZZ_CHECK(whole->elements[i][2].empty());
    }
    return 0;
}
