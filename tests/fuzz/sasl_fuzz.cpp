// The first octet chooses mechanism and initial response; each line of the rest is a client's.
#include "gateway/pop3/sasl.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace popgate;
using pop3::SaslExchange;

std::string encode_base64(std::string_view plain) {
    static constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string encoded;
    for (std::size_t i = 0; i < plain.size(); i += 3) {
        std::uint32_t bits = 0;
        for (std::size_t j = i; j < i + 3; ++j)
            bits = bits << 8 | (j < plain.size() ? static_cast<unsigned char>(plain[j]) : 0u);
        for (std::size_t j = 0; j < 4; ++j) encoded += i + j > plain.size() ? '=' : alphabet[bits >> (18 - 6 * j) & 63];
    }
    return encoded;
}

std::string_view take_line(std::string_view& input) {
    const auto end = input.find('\n');
    const auto line = input.substr(0, end);
    input.remove_prefix(end == std::string_view::npos ? input.size() : end + 1);
    return line;
}

/// False when the exchange has ended.
bool goes_on(const SaslExchange::Step& step) {
    if (const auto* done = std::get_if<SaslExchange::Done>(&step)) {
        FUZZ_CHECK(done->user.find('\0') == std::string::npos);
        FUZZ_CHECK(done->password.reveal().find('\0') == std::string::npos);
    }
    if (const auto* challenge = std::get_if<SaslExchange::Challenge>(&step))
        FUZZ_CHECK(pop3::decode_base64(challenge->base64).has_value());
    return std::holds_alternative<SaslExchange::Challenge>(step);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto input = test::as_text(data, size);
    // What decodes is what its decoding encodes to, and nothing else decodes.
    const auto decoded = pop3::decode_base64(input);
    if (decoded) FUZZ_CHECK(encode_base64(*decoded) == input);
    const auto back = pop3::decode_base64(encode_base64(input));
    FUZZ_CHECK(back && *back == input);

    const auto choice = test::take_octet(input);
    auto exchange = SaslExchange::make(choice & 1 ? "PLAIN" : "LOGIN");
    FUZZ_CHECK(exchange.has_value());
    std::optional<std::string_view> initial_response;
    if (choice & 2) initial_response = take_line(input);
    bool going = goes_on(exchange->start(initial_response));
    int challenges = 1;
    while (going && !input.empty()) {
        FUZZ_CHECK(++challenges <= 3);
        going = goes_on(exchange->on_response(take_line(input)));
    }
    return 0;
}
