#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace popgate::imap {

/// Stands between an IMAP server and libetpan's parser, which crashes on malformed answers of many kinds, allocates
/// what a literal announces and recurses as deep as parentheses go. What the server says of itself and of the mailbox
/// is read here and goes no further; the parser gets FETCH answers whose items were checked, continuation requests,
/// and tagged lines reduced to "tag OK done". A broken or hostile server is refused. Pure: octets in, octets out.
class ResponseGuard {
public:
    /// Before each command. `expect_body`: one literal of BODY[] may have any size, since it is streamed. A part of a
    /// body ("BODY[]<0>") is refused unless `expect_part`: it would be taken for the whole.
    void begin_command(bool expect_body, bool expect_part = true);

    /// Appends what the parser may see to `out`. The input may be cut anywhere. False once something was wrong;
    /// reason() then says what.
    bool feed(std::string_view octets, std::string& out);
    std::string_view reason() const { return reason_; }

    /// What is still to come of a body's literal. It may go to the parser unseen, if passed() is told of it.
    std::uint64_t body_left() const { return body_left_; }
    void passed(std::uint64_t octets) { body_left_ -= octets; }

    /// The condition of the last status line (OK, NO, BAD, BYE, PREAUTH), tagged or not; empty before the first.
    const std::string& condition() const { return condition_; }
    /// The text of the last NO, BAD or BYE of this command, without tag; empty when there was none.
    const std::string& complaint() const { return complaint_; }
    /// The text of the last BYE, empty when there was none.
    const std::string& bye() const { return bye_; }
    bool said_bye() const { return !bye_.empty(); }
    /// The tagged line that ended this command: its condition and text; empty while there was none. A BYE may come
    /// before or behind it in the same breath.
    const std::string& tagged() const { return tagged_; }
    /// True when nothing came behind the last tagged line.
    bool ended_with_tagged_line() const { return ended_with_tagged_line_; }

    /// The last capability list that was seen, " IMAP4REV1 IDLE … " in upper case, or empty.
    const std::string& capabilities() const { return capabilities_; }
    void forget_capabilities() { capabilities_.clear(); }

    /// What this command's answer told of the mailbox; 0 when it did not.
    std::uint32_t uid_validity() const { return uid_validity_; }
    bool told_exists() const { return told_exists_; }
    std::uint32_t exists() const { return exists_; }

    /// The numbers of this command's SEARCH answers.
    const std::vector<std::uint32_t>& found() const { return found_; }

private:
    enum class Context { line, fetch_after_body, skipped_literal };

    bool refuse(std::string_view reason);
    bool end_of_line(std::string& out);
    bool on_untagged(std::string_view rest, std::string& out);
    bool on_tagged(std::string_view tag, std::string_view rest, std::string& out);
    struct FetchItems;
    bool on_fetch(std::string_view prefix, std::string_view text, bool wanted, std::string& out);
    bool read_items(std::string_view text, FetchItems& items);
    bool read_body(std::string_view name, std::string_view& text, FetchItems& items);
    void on_status(std::string_view condition, std::string_view text);
    bool on_search(std::string_view numbers);
    void set_capabilities(std::string_view list);

    bool expect_body_ = false;
    bool expect_part_ = false;
    Context context_ = Context::line;
    std::uint64_t body_left_ = 0;      // of the literal that is streamed
    std::uint64_t skip_left_ = 0;      // of a literal in an answer that nobody asked for
    std::size_t response_octets_ = 0;  // since begin_command(), bodies aside
    std::string line_;
    std::string_view reason_;
    std::string condition_;
    std::string complaint_;
    std::string tagged_;
    std::string bye_;
    std::string capabilities_;
    std::vector<std::uint32_t> found_;
    std::uint32_t uid_validity_ = 0;
    std::uint32_t exists_ = 0;
    bool told_exists_ = false;
    bool ended_with_tagged_line_ = false;
};

}  // namespace popgate::imap
