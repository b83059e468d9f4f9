// What a web hook says to a login: the lines of the input are its headers.
#include "backends/http/client.hpp"
#include "gateway/accounts/auth_hook.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"

#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace popgate;
    auto rest = test::as_text(data, size);
    http::Response response;
    response.status = 200;
    while (!rest.empty()) {
        const auto end = rest.find('\n');
        const auto line = rest.substr(0, end);
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
        const auto colon = line.find(':');
        if (colon == std::string_view::npos) continue;
        response.headers.push_back({std::string(line.substr(0, colon)), std::string(line.substr(colon + 1))});
    }
    const auto answer = read_hook_answer(response);
    if (!answer) {
        FUZZ_CHECK(answer.error().code == Errc::auth || answer.error().code == Errc::temporary);
        return 0;
    }
    FUZZ_CHECK(answer->server.empty() == answer->port.empty());
    FUZZ_CHECK(answer->server.find_first_of("/@ ") == std::string::npos);
    FUZZ_CHECK(response.header("Auth-Pass").empty());
    return 0;
}
