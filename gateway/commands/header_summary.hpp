#pragma once

#include "backends/mailbox.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace popgate::commands {

/// What of a message's header tells it from other messages, at two servers that have each written lines of their own
/// into it. Values are unfolded, their white space is one blank, and long ones are cut. Hashes are SHA-256, raw; an
/// empty one means that there is nothing to compare.
struct HeaderSummary {
    std::string block;                ///< hash of the whole header, but for fields that servers add or change
    std::string block_without_trace;  ///< the same without the fields of delivery at its top
    std::string looks;                ///< hash of Date, From, To and Subject, where two of them are there
    std::string message_id;
    std::string date;
    std::string from;
    std::string subject;
};

/// `header` as HeaderCollector gives it. Any octets will do.
HeaderSummary summarise_header(std::string_view header);

/// Takes a message and keeps its header: up to the first empty line, with LF line ends. Memory is bounded: of a header
/// that is longer than `longest` it keeps the beginning.
class HeaderCollector final : public BodySink {
public:
    static constexpr std::size_t longest = 1024 * 1024;  // octets

    /// False when no more is wanted.
    bool write(std::string_view octets) noexcept override;
    const std::string& text() const { return text_; }
    bool complete() const { return complete_; }

private:
    std::string text_;
    bool complete_ = false;
};

}  // namespace popgate::commands
