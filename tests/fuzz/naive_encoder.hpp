#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace popgate::test {

/// The multi-line reply that a message makes (RFC 1939 §3 and §7), written for a message that is at hand as a whole:
/// slow, but short enough to be checked by reading.
struct NaiveReply {
    std::string text;
    std::uint64_t octets = 0;
};

inline NaiveReply encode_naively(std::string_view message, std::optional<std::uint64_t> top_lines = std::nullopt) {
    NaiveReply reply;
    bool in_header = true;
    std::uint64_t body_lines = 0;
    while (!message.empty()) {
        if (top_lines && !in_header && body_lines == *top_lines) break;
        const auto end = message.find('\n');
        const bool has_end = end != std::string_view::npos;
        auto line = message.substr(0, end);
        message.remove_prefix(has_end ? end + 1 : message.size());
        if (has_end && line.ends_with('\r')) line.remove_suffix(1);
        if (line.starts_with('.')) reply.text += '.';
        reply.text.append(line).append("\r\n");
        reply.octets += line.size() + 2;
        if (!in_header)
            ++body_lines;
        else if (line.empty())
            in_header = false;
    }
    reply.text += ".\r\n";
    return reply;
}

}  // namespace popgate::test
