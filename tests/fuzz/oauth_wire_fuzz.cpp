// What an OAuth2 provider may say, and whoever sits at its address: nothing of it may crash, become a token that could
// end a line, or be repeated with a secret in it.
#include "gateway/oauth/wire.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"

#include <string>
#include <vector>

namespace {

using namespace popgate;
using namespace popgate::oauth;

constexpr std::string_view canary = "sent-SECRET";

void check(const Refusal& refusal) {
    const auto all = refusal.text + refusal.detail + refusal.code;
    FUZZ_CHECK(all.find(canary) == std::string::npos);
    FUZZ_CHECK(all.find_first_of("\r\n") == std::string::npos);
    FUZZ_CHECK(refusal.detail.size() < 2000);
}

bool is_one_line(const Secret& token) { return token.reveal().find_first_of("\r\n \x01") == std::string::npos; }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto body = test::as_text(data, size);
    constexpr int statuses[] = {200, 400, 401, 429, 500};
    const auto choice = test::take_octet(body);
    std::vector<Secret> sent;
    sent.emplace_back(canary);
    const Heard heard{statuses[choice % 5], body, {}, sent};
    const auto asked = static_cast<Asked>(choice / 5 % 4);

    if (const auto tokens = read_tokens(heard, asked, "Example")) {
        FUZZ_CHECK(!tokens->access_token.reveal().empty());
        FUZZ_CHECK(is_one_line(tokens->access_token) && is_one_line(tokens->refresh_token));
        FUZZ_CHECK(tokens->lifetime.count() > 0);
    } else {
        check(tokens.error());
        FUZZ_CHECK(tokens.error().kind != Refusal::Kind::sign_in || asked == Asked::refresh);
        FUZZ_CHECK(heard.status < 429 || tokens.error().kind == Refusal::Kind::later);
    }
    if (const auto code = read_device_code(heard, "Example")) {
        FUZZ_CHECK(is_safe_url(code->verification_url));
        FUZZ_CHECK(code->user_code.find_first_of("\r\n\x1b") == std::string::npos);
        FUZZ_CHECK(code->interval.count() > 0 && code->lifetime.count() > 0);
    } else {
        check(code.error());
    }
    if (const auto places = read_discovery(heard, "https://id.example", "Example")) {
        for (const auto& url : {places->authorization, places->token, places->device, places->userinfo})
            FUZZ_CHECK(url.empty() || is_safe_url(url));
        FUZZ_CHECK(!places->token.empty());
    }
    (void)read_userinfo(heard, "Example");
    (void)id_token_of(body);
    if (const auto identity =
            read_id_token(body, {"https://id.example", "client", "n", 1000, choice % 2 == 0}, "Example"))
        FUZZ_CHECK(!identity->subject.empty() && identity->issuer == "https://id.example" && identity->nonce == "n");
    const auto shown = without_secrets(body);
    FUZZ_CHECK(shown.size() <= 300 && shown.find_first_of("\r\n") == std::string::npos);
    return 0;
}
