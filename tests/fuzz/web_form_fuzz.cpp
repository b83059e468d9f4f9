// Forms, queries and cookies, and what of them reaches a page.
#include "gateway/web/forms.hpp"
#include "gateway/web/html.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"

#include <string>

namespace {

using namespace popgate;

void check_shown(const std::string& value) {
    const auto escaped = web::escape_markup(value);
    FUZZ_CHECK(escaped.find_first_of("<>\"'") == std::string::npos);
    FUZZ_CHECK(escaped.find('\0') == std::string::npos);
    const auto line = web::clean_line(value, 60);
    FUZZ_CHECK(line.size() <= 60);
    FUZZ_CHECK(line.find_first_of("\r\n") == std::string::npos);
    FUZZ_CHECK(web::clean_line(line, 60) == line);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = test::as_text(data, size);
    check_shown(std::string(text));
    const auto form = web::parse_form(text);
    if (form) {
        FUZZ_CHECK(form->size() <= 100);
        for (const auto& [name, value] : form->all()) {
            FUZZ_CHECK(form->has(name));
            check_shown(value);
        }
    }
    const auto cookies = web::parse_cookies(text);
    for (const auto& [name, value] : cookies.all())
        FUZZ_CHECK(name.find_first_of("=;") == std::string::npos && value.find(';') == std::string::npos);
    return 0;
}
