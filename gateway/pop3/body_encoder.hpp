#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace popgate::pop3 {

/// Turns a message, in pieces cut anywhere, into the multi-line reply of RETR or TOP (RFC 1939 §3): a bare LF becomes
/// CRLF, a line that begins with '.' gets another, a missing last CRLF is added. All other octets, a bare CR and NUL
/// among them, pass as they are.
class BodyEncoder {
public:
    /// `top_lines`: as TOP counts them, lines of the body after the header's empty line; none for all.
    explicit BodyEncoder(std::optional<std::uint64_t> top_lines = std::nullopt) : top_lines_(top_lines) {}

    /// Appends the encoding of `octets` to `out`.
    void encode(std::string_view octets, std::string& out);

    /// Ends the reply. Only for a message that is known to be whole.
    void finish(std::string& out);

    /// True when TOP has all its lines; what is fed later is ignored.
    bool satisfied() const { return satisfied_; }

    /// The message's size as LIST counts it so far: CRLF line ends, without dot-stuffing and terminator.
    std::uint64_t octets() const { return octets_; }

private:
    std::size_t plain_length(std::string_view octets) const;
    void pass(std::string_view octets, std::string& out);
    void end_line();

    std::optional<std::uint64_t> top_lines_;
    std::uint64_t octets_ = 0;
    std::uint64_t body_lines_ = 0;
    std::uint64_t line_octets_ = 0;  // of the line under way
    bool last_was_cr_ = false;
    bool in_header_ = true;
    bool satisfied_ = false;
};

}  // namespace popgate::pop3
