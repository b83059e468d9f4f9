// The first octet chooses mechanism and initial response; each line of the rest is a client's.
#include "gateway/pop3/sasl.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace popgate;
using pop3::SaslExchange;

std::string_view take_line(std::string_view& input) {
    const auto end = input.find('\n');
    const auto line = input.substr(0, end);
    input.remove_prefix(end == std::string_view::npos ? input.size() : end + 1);
    return line;
}

/// False when the exchange has ended.
bool goes_on(const SaslExchange::Step& step) {
    if (const auto* proof = std::get_if<Proof>(&step); proof && proof->method == Proof::Method::password) {
        FUZZ_CHECK(proof->user.find('\0') == std::string::npos);
        FUZZ_CHECK(proof->secret.reveal().find('\0') == std::string::npos);
    }
    if (const auto* proof = std::get_if<Proof>(&step); proof && proof->method == Proof::Method::token)
        for (const char c : proof->secret.reveal()) FUZZ_CHECK(c > 0x20 && c < 0x7F);
    if (const auto* challenge = std::get_if<SaslExchange::Challenge>(&step))
        FUZZ_CHECK(pop3::decode_base64(challenge->base64).has_value());
    return std::holds_alternative<SaslExchange::Challenge>(step);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto input = test::as_text(data, size);
    // What decodes is what its decoding encodes to, and nothing else decodes.
    const auto decoded = pop3::decode_base64(input);
    if (decoded) FUZZ_CHECK(pop3::encode_base64(*decoded) == input);
    const auto back = pop3::decode_base64(pop3::encode_base64(input));
    FUZZ_CHECK(back && *back == input);

    const auto choice = test::take_octet(input);
    constexpr pop3::Mechanism mechanisms[] = {pop3::Mechanism::plain,    pop3::Mechanism::login,
                                              pop3::Mechanism::cram_md5, pop3::Mechanism::external,
                                              pop3::Mechanism::xoauth2,  pop3::Mechanism::oauthbearer};
    SaslExchange exchange(mechanisms[(choice >> 2) % std::size(mechanisms)], "<1.2@host>");
    std::optional<std::string_view> initial_response;
    if (choice & 1) initial_response = take_line(input);
    bool going = goes_on(exchange.start(initial_response));
    int challenges = 1;
    while (going && !input.empty()) {
        FUZZ_CHECK(++challenges <= 3);
        going = goes_on(exchange.on_response(take_line(input)));
    }
    return 0;
}
