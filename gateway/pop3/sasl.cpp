#include "gateway/pop3/sasl.hpp"

#include <algorithm>
#include <cstdint>

namespace popgate::pop3 {

namespace {

int base64_value(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+') return 62;
    return c == '/' ? 63 : -1;
}

bool same_word(std::string_view text, std::string_view upper_case) {
    return std::ranges::equal(text, upper_case, {},
                              [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
}

}  // namespace

std::optional<std::string> decode_base64(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    std::string decoded;
    decoded.reserve(text.size() / 4 * 3);
    for (std::size_t i = 0; i < text.size(); i += 4) {
        auto group = text.substr(i, 4);
        std::size_t padding = 0;
        if (i + 4 == text.size())
            while (padding < 2 && group[3 - padding] == '=') ++padding;
        std::uint32_t bits = 0;
        for (std::size_t j = 0; j < 4; ++j) {
            const int value = j >= 4 - padding ? 0 : base64_value(group[j]);
            if (value < 0) return std::nullopt;
            bits = bits << 6 | static_cast<std::uint32_t>(value);
        }
        if ((padding == 1 && (bits & 0xFF)) || (padding == 2 && (bits & 0xFFFF))) return std::nullopt;
        for (std::size_t j = 0; j < 3 - padding; ++j) decoded += static_cast<char>(bits >> (16 - 8 * j) & 0xFF);
    }
    return decoded;
}

std::optional<SaslExchange> SaslExchange::make(std::string_view mechanism) {
    if (same_word(mechanism, "PLAIN")) return SaslExchange(Mechanism::plain);
    if (same_word(mechanism, "LOGIN")) return SaslExchange(Mechanism::login);
    return std::nullopt;
}

SaslExchange::Step SaslExchange::start(std::optional<std::string_view> initial_response) {
    if (!initial_response) return Challenge{mechanism_ == Mechanism::login ? "VXNlcm5hbWU6" : ""};
    if (*initial_response == "=") return take({});
    return on_response(*initial_response);
}

SaslExchange::Step SaslExchange::on_response(std::string_view line) {
    if (line == "*") return Fault::cancelled;
    auto decoded = decode_base64(line);
    if (!decoded) return Fault::malformed;
    return take(std::move(*decoded));
}

SaslExchange::Step SaslExchange::take(std::string response) {
    if (mechanism_ == Mechanism::plain) {
        auto step = take_plain(response);
        Secret::wipe(response);
        return step;
    }
    if (response.find('\0') != std::string::npos) return Fault::malformed;
    if (!user_) {
        user_ = std::move(response);
        return Challenge{"UGFzc3dvcmQ6"};
    }
    Done done{std::move(*user_), Secret(response)};
    Secret::wipe(response);
    return done;
}

SaslExchange::Step SaslExchange::take_plain(const std::string& response) {
    const auto first = response.find('\0');
    if (first == std::string::npos) return Fault::malformed;
    const auto second = response.find('\0', first + 1);
    if (second == std::string::npos || response.find('\0', second + 1) != std::string::npos) return Fault::malformed;
    const std::string_view all = response;
    const auto authorization = all.substr(0, first);
    const auto user = all.substr(first + 1, second - first - 1);
    if (!authorization.empty() && authorization != user) return Fault::other_identity;
    return Done{std::string(user), Secret(all.substr(second + 1))};
}

}  // namespace popgate::pop3
