// What anybody posts as Outlook's request.
#include "gateway/web/autodiscover_request.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"

#include <algorithm>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace popgate;
    const auto text = test::as_text(data, size);
    const auto request = web::parse_autodiscover_request(text);
    if (!request) return 0;
    for (const auto& value : {request->address, request->response_schema}) {
        FUZZ_CHECK(!value.empty() && value.size() <= 1024);
        FUZZ_CHECK(std::ranges::all_of(value, [](char c) { return c >= 0x20 && c <= 0x7E; }));
    }
    FUZZ_CHECK(text.find("<!DOCTYPE") == std::string_view::npos || text.find("<!--") != std::string_view::npos);
    return 0;
}
