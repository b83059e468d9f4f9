#pragma once

#include "backends/imap/folder.hpp"
#include "backends/imap/uid_set.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace popgate::imap {

/// One line of a listing.
struct ListedMessage {
    std::uint32_t number = 0;    ///< message sequence number
    std::uint32_t uid = 0;       ///< 0 when it was not told
    std::uint64_t octets = 0;    ///< RFC822.SIZE
    std::int64_t arrival = 0;    ///< INTERNALDATE, in seconds since 1970; 0 when it is no date
    std::uint64_t gmail_id = 0;  ///< X-GM-MSGID; 0 when it was not told
    bool operator==(const ListedMessage&) const = default;
};

/// What a command asks for. Of anything else in its answer, only the server's news of itself and of the mailbox is
/// read.
enum class Answer {
    plain,    ///< no more than whether it went well, or the numbers of a search
    body,     ///< whole BODY[]s, as many as are asked for: their literals may have any size, since they are streamed
    part,     ///< the same, or a part ("BODY[]<0>"), which otherwise would be taken for the whole
    listing,  ///< sizes and dates of messages
    changes,  ///< what vanished, in a flood of flags, perhaps, that nobody wants
    folders,  ///< the folders that have a special use
};

/// Stands between an IMAP server and libetpan's parser, which crashes on malformed answers of many kinds, allocates
/// what a literal announces and recurses as deep as parentheses go. Everything is read here and goes no further but
/// bodies: the parser gets FETCH answers with a BODY[] whose items were checked, continuation requests, and tagged
/// lines reduced to "tag OK done". A broken or hostile server is refused. Pure: octets in, octets out.
class ResponseGuard {
public:
    /// Before each command; `bodies`: the most that it asks for.
    void begin_command(Answer expected, std::size_t bodies = 1);

    /// Takes octets from the front of `octets` and appends what the parser may see of them to `out`. The input may be
    /// cut anywhere. Stops where a body's literal begins. False once something was wrong; reason() then says what.
    bool feed(std::string_view& octets, std::string& out);
    std::string_view reason() const { return reason_; }

    /// What is still to come of a body's literal. It goes to the parser unseen, and passed() is told of it.
    std::uint64_t body_left() const { return body_left_; }
    void passed(std::uint64_t octets) { body_left_ -= octets; }

    /// The text of the last continuation request, cut; empty before the first of this command.
    const std::string& challenge() const { return challenge_; }

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
    std::uint32_t uid_next() const { return uid_next_; }
    std::uint64_t highest_modseq() const { return highest_modseq_; }

    /// The numbers of this command's SEARCH or ESEARCH answers, not yet settled.
    const UidSet& found() const { return found_; }
    /// The UIDs of its VANISHED (EARLIER) answers (RFC 7162), likewise. Answer::changes only.
    const UidSet& vanished() const { return vanished_; }
    /// The messages whose size it told. Answer::listing only.
    std::vector<ListedMessage>& listed() { return listed_; }
    /// Answer::folders only.
    std::vector<Folder>& folders() { return folders_; }

private:
    enum class Context { line, fetch_after_body, skipped_literal, folder_name };

    bool refuse(std::string_view reason);
    bool end_of_line(std::string_view line, std::string& out);
    bool on_untagged(std::string_view rest, std::string& out);
    bool on_tagged(std::string_view tag, std::string_view rest, std::string& out);
    struct FetchItems;
    bool on_fetch(std::uint32_t number, std::string_view text, bool behind_body, std::string& out);
    bool read_items(std::string_view text, FetchItems& items);
    bool read_value(std::string_view name, std::string_view& text, FetchItems& items);
    bool read_body(std::string_view name, std::string_view& text, FetchItems& items);
    void on_status(std::string_view condition, std::string_view text);
    void read_status_items(std::string_view text);
    bool on_search(std::string_view numbers);
    bool on_extended_search(std::string_view items);
    bool on_vanished(std::string_view set);
    bool on_folder(std::string_view text);
    void keep_folder(std::string_view text, const std::string* name);
    bool skip_literal_of(std::string_view line);
    void set_capabilities(std::string_view list);

    Answer expected_ = Answer::plain;
    std::size_t bodies_due_ = 0;
    Context context_ = Context::line;
    std::uint64_t body_left_ = 0;      // of the literal that is streamed
    std::uint64_t skip_left_ = 0;      // of a literal in an answer that nobody asked for
    std::size_t response_octets_ = 0;  // since begin_command(), bodies aside
    std::string line_;
    std::string folder_;       // what was said of one, before its name as a literal
    std::string folder_name_;  // that literal
    std::string_view reason_;
    std::string condition_;
    std::string challenge_;
    std::string complaint_;
    std::string tagged_;
    std::string bye_;
    std::string capabilities_;
    UidSet found_;
    UidSet vanished_;
    std::vector<ListedMessage> listed_;
    std::vector<Folder> folders_;
    std::uint64_t highest_modseq_ = 0;
    std::uint32_t uid_validity_ = 0;
    std::uint32_t uid_next_ = 0;
    std::uint32_t exists_ = 0;
    bool told_exists_ = false;
    bool ended_with_tagged_line_ = false;
};

}  // namespace popgate::imap
