#include "backends/maildir/server_list.hpp"

#include <charconv>
#include <limits>

namespace popgate::maildir {

namespace {

constexpr std::size_t longest_line = 4096;

/// Takes a number of 32 bits off the front; nothing, also when it is larger.
std::optional<std::uint32_t> take_number(std::string_view& text) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return number;
}

bool take_char(std::string_view& text, char wanted) {
    if (!text.starts_with(wanted)) return false;
    text.remove_prefix(1);
    return true;
}

void skip_spaces(std::string_view& text) {
    while (take_char(text, ' ')) {
    }
}

std::string_view take_word(std::string_view& text) {
    const auto word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size());
    skip_spaces(text);
    return word;
}

/// A whole word that is a number, and not 0.
std::uint32_t whole_number(std::string_view word) {
    const auto number = take_number(word);
    return word.empty() ? number.value_or(0) : 0;
}

std::string_view base_name_of(std::string_view file_name) {
    if (file_name.find('/') != std::string_view::npos) return {};
    return file_name.substr(0, file_name.find(':'));
}

}  // namespace

Status ServerList::add(std::string_view octets) {
    while (!octets.empty()) {
        const auto end = octets.find('\n');
        const auto part = octets.substr(0, end);
        is_too_long_ = is_too_long_ || line_.size() + part.size() > longest_line;
        if (end == std::string_view::npos) {
            if (!is_too_long_) line_ += part;
            return {};
        }
        octets.remove_prefix(end + 1);
        Status status;
        if (line_.empty()) {
            status = take_line(part);
        } else {
            if (!is_too_long_) line_ += part;
            status = take_line(line_);
        }
        line_.clear();
        is_too_long_ = false;
        if (!status) return status;
    }
    return {};
}

Status ServerList::take_line(std::string_view line) {
    if (version_ == 0) return take_header(is_too_long_ ? std::string_view() : line);
    if (is_too_long_) return {};
    if (kind_ == Kind::dovecot)
        take_dovecots(line);
    else
        take_couriers(line);
    return {};
}

// Dovecot: "1 VALIDITY NEXT", or "3" and words that begin with a letter each, V the validity. Courier: "/3 NEXT
// VALIDITY", which is only for messages to come.
Status ServerList::take_header(std::string_view line) {
    const Error broken{Errc::permanent, "the other server's list of unique-ids is broken", "its first line"};
    if (kind_ == Kind::courier && !take_char(line, '/')) return broken;
    version_ = static_cast<int>(whole_number(take_word(line)));
    if (kind_ == Kind::courier) return version_ == 2 || version_ == 3 ? Status() : Status(broken);
    if (version_ == 1) {
        uid_validity_ = whole_number(take_word(line));
    } else if (version_ == 3) {
        while (!line.empty()) {
            auto word = take_word(line);
            if (take_char(word, 'V')) uid_validity_ = whole_number(word);
        }
    }
    return uid_validity_ == 0 ? Status(broken) : Status();
}

// "UID NAME", since version 3 "UID [KEYvalue…] :NAME"; UIDs ascend. The key P is a unique-id that was stored.
void ServerList::take_dovecots(std::string_view line) {
    const auto uid = take_number(line);
    if (!uid || *uid <= last_uid_ || *uid == std::numeric_limits<std::uint32_t>::max() || !line.starts_with(' '))
        return;
    skip_spaces(line);
    ServerRecord record{{}, *uid, uid_validity_, {}};
    if (version_ == 3) {
        while (!line.empty() && !line.starts_with(':')) {
            auto word = take_word(line);
            if (take_char(word, 'P') && !record.unique_id) record.unique_id = word;
        }
        if (!take_char(line, ':')) return;
    }
    record.base_name = base_name_of(line);
    if (record.base_name.empty()) return;
    last_uid_ = *uid;
    take_(record);
}

// "NAME SIZE NUMBER:VALIDITY", since version 3 with ":" and a 0 or 1 behind. Names may hold spaces.
void ServerList::take_couriers(std::string_view line) {
    const auto second = line.rfind(' ');
    if (second == std::string_view::npos || second == 0) return;
    const auto first = line.rfind(' ', second - 1);
    if (first == std::string_view::npos) return;
    auto numbers = line.substr(second + 1);
    const auto number = take_number(numbers);
    if (!number || !take_char(numbers, ':')) return;
    const auto validity = take_number(numbers);
    if (!validity || (!numbers.empty() && !numbers.starts_with(':'))) return;
    const ServerRecord record{base_name_of(line.substr(0, first)), *number, *validity, {}};
    if (!record.base_name.empty()) take_(record);
}

}  // namespace popgate::maildir
