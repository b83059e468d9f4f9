#pragma once

#include "backends/files/measure.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace popgate::mbox {

/// What the line before each message begins with.
inline constexpr std::string_view separator_start = "From ";

/// Tells a message from all others: its content and its "From " line, without the headers in which mail programs keep
/// their notes.
using Fingerprint = std::array<unsigned char, 16>;

/// Reads one message of an mbox, from its "From " line on, in pieces of any size.
class MessageReader {
public:
    /// Takes of `data`, which continues what was taken before, as much as can be judged; `last`: nothing follows.
    /// The message's content is appended to `content` when there is one. Returns how much was taken; what is left,
    /// less than `lookahead` octets, or the next message when done(), is to be given again.
    std::size_t take(std::string_view data, bool last, std::string* content = nullptr);

    static constexpr std::size_t lookahead = 16;

    bool done() const { return done_; }

    /// Only when done(), and once.
    Fingerprint fingerprint();
    std::uint64_t octets() const { return counter_.octets(); }
    /// Seconds since 1970, from the "From " line; 0 when it has no date.
    std::int64_t arrival() const;

    /// Begins anew, with the next message.
    void reset();

private:
    enum class Line { separator, header, body };

    bool can_judge(std::string_view rest, bool last) const;
    void begin_line(std::string_view rest);
    void emit(std::string_view piece, std::string* content);

    Line line_ = Line::separator;
    bool at_line_start_ = true;
    bool in_header_ = true;
    bool is_note_ = false;  // in a header that the fingerprint leaves out
    bool done_ = false;
    std::string held_back_;  // an empty line: part of the message unless the next message follows
    std::string separator_;  // the "From " line, or its beginning
    char last_hashed_ = '\n';
    local::Sha256 hash_;
    local::OctetCounter counter_;
};

}  // namespace popgate::mbox
