#include "backends/mbox/mbox_message.hpp"

#include <strings.h>
#include <time.h>

#include <algorithm>
#include <iterator>

namespace popgate::mbox {

namespace {

constexpr std::size_t longest_separator = 512;  // of which the date is looked for

// Written by mail programs into messages that are already there.
constexpr std::string_view notes[] = {
    "Status:", "X-Status:", "X-UID:", "X-Keywords:", "X-IMAP:", "X-IMAPbase:", "Content-Length:"};
static_assert(std::all_of(std::begin(notes), std::end(notes),
                          [](std::string_view name) { return name.size() <= MessageReader::lookahead; }));

bool is_note(std::string_view line) {
    return std::any_of(std::begin(notes), std::end(notes), [&](std::string_view name) {
        return line.size() >= name.size() && ::strncasecmp(line.data(), name.data(), name.size()) == 0;
    });
}

std::size_t empty_line_size(std::string_view rest) {
    if (rest.substr(0, 1) == "\n") return 1;
    return rest.substr(0, 2) == "\r\n" ? 2 : 0;
}

}  // namespace

bool MessageReader::can_judge(std::string_view rest, bool last) const {
    return last || rest.size() >= lookahead || rest.find('\n') != std::string_view::npos;
}

std::size_t MessageReader::take(std::string_view data, bool last, std::string* content) {
    std::size_t at = 0;
    while (at < data.size() && !done_) {
        const auto rest = data.substr(at);
        if (at_line_start_) {
            if (!can_judge(rest, last)) break;
            if (!held_back_.empty() && rest.substr(0, separator_start.size()) == separator_start) {
                done_ = true;
                break;
            }
            begin_line(rest);
            emit(held_back_, content);
            held_back_.clear();
            if (const auto empty = line_ == Line::separator ? 0 : empty_line_size(rest)) {
                held_back_ = rest.substr(0, empty);
                in_header_ = false;
                at += empty;
                continue;
            }
        }
        // To the end of the line; in the body also the lines after it, up to one that must be looked at.
        std::size_t end = 0;
        do {
            const auto line_end = rest.find('\n', end);
            at_line_start_ = line_end != std::string_view::npos;
            end = at_line_start_ ? line_end + 1 : rest.size();
        } while (line_ == Line::body && at_line_start_ && end < rest.size() && rest[end] != '\n' && rest[end] != '\r');
        emit(rest.substr(0, end), content);
        at += end;
    }
    if (last && at == data.size()) done_ = true;
    return at;
}

void MessageReader::begin_line(std::string_view rest) {
    if (line_ == Line::separator && separator_.empty()) return;
    line_ = in_header_ ? Line::header : Line::body;
    const bool continues = rest.front() == ' ' || rest.front() == '\t';
    if (!in_header_)
        is_note_ = false;
    else if (!continues)
        is_note_ = is_note(rest);
}

void MessageReader::emit(std::string_view piece, std::string* content) {
    if (piece.empty()) return;
    if (!is_note_) {
        hash_.add(piece);
        last_hashed_ = piece.back();
    }
    if (line_ == Line::separator) {
        separator_ += piece.substr(0, longest_separator - std::min(longest_separator, separator_.size()));
        return;
    }
    counter_.add(piece);
    if (content) *content += piece;
}

Fingerprint MessageReader::fingerprint() {
    // The last line of the file may get its line end later, from the agent that appends the next message.
    if (last_hashed_ != '\n') hash_.add("\n");
    const auto digest = hash_.finish();
    Fingerprint fingerprint{};
    std::copy_n(digest.begin(), fingerprint.size(), fingerprint.begin());
    return fingerprint;
}

std::int64_t MessageReader::arrival() const {
    // "From SENDER Thu Jan  1 00:00:00 1970", where the sender may hold spaces and a time zone may stand before the
    // year.
    for (auto space = separator_.find(' ', separator_start.size()); space != std::string::npos;
         space = separator_.find(' ', space + 1)) {
        for (const char* format : {"%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S %z %Y", "%a %b %d %H:%M %Y"}) {
            ::tm date{};
            if (::strptime(separator_.c_str() + space + 1, format, &date)) {
                const auto offset = date.tm_gmtoff;
                return std::max<std::int64_t>(0, ::timegm(&date) - offset);
            }
        }
    }
    return 0;
}

void MessageReader::reset() {
    line_ = Line::separator;
    at_line_start_ = in_header_ = true;
    is_note_ = done_ = false;
    held_back_.clear();
    separator_.clear();
    last_hashed_ = '\n';
    hash_.start();
    counter_ = {};
}

}  // namespace popgate::mbox
