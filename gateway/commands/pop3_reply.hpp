#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace popgate::commands {

/// Takes a POP3 server's replies apart, however they were split. Pure; memory is bounded by what is fed at once and by
/// the longest status line. RFC 1939 §3; a line may also end with a bare LF.
class ReplyReader {
public:
    enum class Event {
        need_more,  ///< feed() more
        status,     ///< the first line, in `text` without "+OK" or "-ERR"; ok() tells which of the two
        octets,     ///< a piece of a multi-line reply, dot-stuffing undone, in `text`
        end,        ///< the reply is over
        broken,     ///< that is no POP3; final
    };
    static constexpr std::size_t longest_status = 4096;

    void feed(std::string_view octets);

    /// The next event of the reply under way; `multiline` is what follows a "+OK" of it. `text` is valid until the
    /// next call of either function.
    Event next(bool multiline, std::string_view& text);

    bool ok() const { return ok_; }
    /// True when nothing that was fed is waiting.
    bool empty() const { return start_ == buffer_.size(); }

private:
    enum class Place { status, line_start, after_dot, after_dot_cr, in_line, end, broken };

    Event next_status(bool multiline, std::string_view& text);
    Event next_octets(std::string_view& text);

    std::string buffer_;
    std::size_t start_ = 0;    // of what was not yet given out
    std::size_t scanned_ = 0;  // up to here the status line has no end
    std::string decoded_;
    Place place_ = Place::status;
    bool ok_ = false;
};

/// One line of UIDL or LIST.
struct ScanLine {
    std::uint32_t number = 0;
    std::string_view value;  ///< what follows the blanks, whatever it is
};

/// Nothing when the line does not begin with the number of a message.
std::optional<ScanLine> parse_scan_line(std::string_view line);

/// RFC 1939 §7: 1 to 70 characters of 0x21-0x7E.
bool is_valid_unique_id(std::string_view id);

/// The response code at the beginning of a status text (RFC 2449 §8), as "SYS/TEMP"; empty when it has none.
std::string_view response_code(std::string_view status);

}  // namespace popgate::commands
