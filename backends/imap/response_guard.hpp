#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace popgate::imap {

/// Reads along with what an IMAP server sends, before libetpan does, and says stop when it is what only a broken or
/// hostile server sends: libetpan allocates what a literal announces, recurses as deep as parentheses go, keeps a
/// whole response in memory, and dereferences null on a malformed STATUS (CVE-2022-4121). Pure: bytes in, verdict out.
class ResponseGuard {
public:
    /// Before each command. `expect_body`: one literal of BODY[] may have any size, since it is streamed.
    void begin_command(bool expect_body);

    /// False once something was wrong; reason() then says what. May be cut anywhere.
    bool feed(std::string_view octets);
    std::string_view reason() const { return reason_; }

    /// The text of the last NO, BAD or BYE of this command, without tag; empty when there was none.
    const std::string& complaint() const { return complaint_; }
    bool said_bye() const { return said_bye_; }

    /// The last capability list that was seen, " IMAP4REV1 IDLE … " in upper case, or empty.
    const std::string& capabilities() const { return capabilities_; }
    void forget_capabilities() { capabilities_.clear(); }

private:
    bool refuse(std::string_view reason);
    bool end_of_line();
    bool literal_ahead(std::uint64_t& octets) const;
    bool announces_body() const;

    bool expect_body_ = false;
    std::uint64_t body_left_ = 0;     // of the literal that is streamed
    std::size_t line_octets_ = 0;
    std::size_t response_octets_ = 0; // since begin_command(), bodies aside
    int depth_ = 0;
    std::string line_;                // its beginning; what comes after is scanned but not kept
    std::string tail_;                // its last octets, where a literal is announced
    std::string_view reason_;
    std::string complaint_;
    std::string capabilities_;
    bool said_bye_ = false;
};

}  // namespace popgate::imap
