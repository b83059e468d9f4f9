#include "backends/imap/response_guard.hpp"

#include "backends/imap/internal_date.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace popgate::imap {

namespace {

constexpr std::size_t longest_challenge = 2048;
constexpr std::size_t longest_line = 1024 * 1024;          // SEARCH answers on one line
constexpr std::size_t longest_response = 4 * 1024 * 1024;  // of one command, bodies aside
constexpr std::size_t longest_flood = 64 * 1024 * 1024;    // of one that is answered with flags, too, which are dropped
constexpr std::size_t most_uid_ranges = 1'000'000;         // of UIDs
constexpr std::size_t most_folders = 100;                  // with a special use
constexpr std::size_t longest_folder_name = 1000;
constexpr std::uint64_t longest_skipped_literal = 64 * 1024;
constexpr std::size_t longest_fetch_line = 8 * 1024;  // flags and items; a body in quotes is short
constexpr std::size_t longest_tag = 16;
constexpr std::size_t kept_of_complaint = 500;

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

bool is_word(std::string_view text, std::string_view upper_case_word) {
    return std::ranges::equal(text, upper_case_word, {}, upper);
}

bool starts_with_word(std::string_view text, std::string_view upper_case_word) {
    return text.size() >= upper_case_word.size() && is_word(text.substr(0, upper_case_word.size()), upper_case_word);
}

/// Takes the text up to the next space, and that space.
std::string_view take_word(std::string_view& text) {
    const auto space = std::min(text.find(' '), text.size());
    const auto word = text.substr(0, space);
    text.remove_prefix(std::min(space + 1, text.size()));
    return word;
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
    Number number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || text.front() == '-' || error != std::errc{} || end != text.data() + text.size())
        return std::nullopt;
    return number;
}

bool is_status(std::string_view word) {
    for (const auto condition : {"OK", "NO", "BAD", "BYE", "PREAUTH"})
        if (is_word(word, condition)) return true;
    return false;
}

/// The size of the literal that a line's end announces, "{12}" or "{12+}".
std::optional<std::uint64_t> literal_ahead(std::string_view line) {
    if (!line.ends_with('}')) return std::nullopt;
    const auto open = line.rfind('{');
    if (open == std::string_view::npos) return std::nullopt;
    auto digits = line.substr(open + 1, line.size() - open - 2);
    if (digits.ends_with('+')) digits.remove_suffix(1);
    if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
    return parse_number<std::uint64_t>(digits).value_or(UINT64_MAX);
}

}  // namespace

void ResponseGuard::begin_command(Answer expected, std::size_t bodies) {
    expected_ = expected;
    bodies_due_ = expected == Answer::body || expected == Answer::part ? bodies : 0;
    response_octets_ = 0;
    challenge_.clear();
    complaint_.clear();
    tagged_.clear();
    found_ = {};
    vanished_ = {};
    listed_ = {};
    folders_ = {};
    uid_validity_ = uid_next_ = exists_ = 0;
    highest_modseq_ = 0;
    told_exists_ = false;
}

bool ResponseGuard::refuse(std::string_view reason) {
    reason_ = reason;
    return false;
}

bool ResponseGuard::feed(std::string_view& octets, std::string& out) {
    if (!reason_.empty()) return false;
    while (!octets.empty() && body_left_ == 0) {
        if (skip_left_ > 0) {
            const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(skip_left_, octets.size()));
            if (context_ == Context::folder_name) folder_name_ += octets.substr(0, count);
            skip_left_ -= count;
            response_octets_ += count;
            octets.remove_prefix(count);
            continue;
        }
        ended_with_tagged_line_ = false;
        const auto end = octets.find('\n');
        const auto piece = octets.substr(0, end);
        octets.remove_prefix(end == std::string_view::npos ? octets.size() : end + 1);
        response_octets_ += piece.size() + 1;
        if (line_.size() + piece.size() > longest_line) return refuse("a line without end");
        if (response_octets_ > (expected_ == Answer::changes ? longest_flood : longest_response))
            return refuse("a response without end");
        // Most lines come in one piece, and need no copy.
        if (end != std::string_view::npos && line_.empty()) {
            if (!end_of_line(piece, out)) return false;
            continue;
        }
        line_ += piece;
        if (end != std::string_view::npos && !end_of_line(std::exchange(line_, {}), out)) return false;
    }
    return true;
}

bool ResponseGuard::end_of_line(std::string_view line, std::string& out) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    auto rest = line;
    switch (std::exchange(context_, Context::line)) {
        case Context::fetch_after_body: return on_fetch(0, rest, true, out);
        case Context::folder_name: keep_folder(folder_, &folder_name_); [[fallthrough]];
        case Context::skipped_literal: return skip_literal_of(line);
        case Context::line: break;
    }
    if (line.starts_with('+')) {
        challenge_ = line.substr(std::min<std::size_t>(line.starts_with("+ ") ? 2 : 1, line.size()), longest_challenge);
        out += "+ \r\n";
        return true;
    }
    const auto tag = take_word(rest);
    return tag == "*" ? on_untagged(rest, out) : on_tagged(tag, rest, out);
}

bool ResponseGuard::on_tagged(std::string_view tag, std::string_view rest, std::string& out) {
    const auto is_alphanumeric = [](char c) { return (c >= '0' && c <= '9') || (upper(c) >= 'A' && upper(c) <= 'Z'); };
    const auto condition = take_word(rest);
    if (tag.empty() || tag.size() > longest_tag || !std::ranges::all_of(tag, is_alphanumeric) ||
        !is_status(condition) || condition.size() > 3)
        return refuse("a line that is not IMAP");
    on_status(condition, rest);
    tagged_ = condition_ + " " + std::string(rest.substr(0, kept_of_complaint));
    out.append(tag).append(" ").append(condition_).append(" done\r\n");
    ended_with_tagged_line_ = true;
    return true;
}

void ResponseGuard::on_status(std::string_view condition, std::string_view text) {
    condition_ = condition;
    std::ranges::transform(condition_, condition_.begin(), upper);
    if (condition_ == "BYE") bye_ = "BYE " + std::string(text.substr(0, kept_of_complaint));
    if (condition_ == "NO" || condition_ == "BAD" || condition_ == "BYE")
        complaint_ = condition_ + " " + std::string(text.substr(0, kept_of_complaint));
    if (!text.starts_with('[')) return;
    auto code = text.substr(1, text.find(']') - 1);
    const auto name = take_word(code);
    if (is_word(name, "UIDVALIDITY")) uid_validity_ = parse_number<std::uint32_t>(code).value_or(0);
    if (is_word(name, "UIDNEXT")) uid_next_ = parse_number<std::uint32_t>(code).value_or(0);
    if (is_word(name, "HIGHESTMODSEQ")) highest_modseq_ = parse_number<std::uint64_t>(code).value_or(0);
    if (is_word(name, "CAPABILITY")) set_capabilities(code);
}

void ResponseGuard::set_capabilities(std::string_view list) {
    capabilities_.clear();
    capabilities_.reserve(list.size() + 2);  // for as long as the connection is there, and no more
    capabilities_.append(" ").append(list).append(" ");
    std::ranges::transform(capabilities_, capabilities_.begin(), upper);
}

bool ResponseGuard::on_untagged(std::string_view rest, std::string& out) {
    const std::string_view line = rest;
    const auto word = take_word(rest);
    if (is_status(word)) {  // its text is free: what looks like a literal in it is none
        on_status(word, rest);
        return true;
    }
    if (is_word(word, "CAPABILITY")) {
        set_capabilities(rest);
        return true;
    }
    if (is_word(word, "SEARCH")) return on_search(rest);
    if (is_word(word, "ESEARCH")) return on_extended_search(rest);
    if (is_word(word, "VANISHED") && expected_ == Answer::changes) return on_vanished(rest);
    if (is_word(word, "STATUS")) read_status_items(rest);
    if (is_word(word, "LIST") && expected_ == Answer::folders) return on_folder(rest);
    if (const auto number = parse_number<std::uint32_t>(word)) {
        auto after = rest;
        const auto kind = take_word(after);
        if (is_word(kind, "EXISTS")) {
            exists_ = *number;
            told_exists_ = true;
        }
        if (is_word(kind, "FETCH")) {
            if (!after.starts_with('(')) return refuse("a FETCH that is not IMAP");
            return on_fetch(*number, after.substr(1), false, out);
        }
    }
    return skip_literal_of(line);
}

// "INBOX (UIDNEXT 5)", and of it the number alone; the name may be anything.
void ResponseGuard::read_status_items(std::string_view text) {
    const auto open = text.rfind('(');
    if (open == std::string_view::npos || !text.ends_with(')')) return;
    text = text.substr(open + 1, text.size() - open - 2);
    while (!text.empty()) {
        const auto name = take_word(text);
        const auto value = take_word(text);
        if (is_word(name, "UIDNEXT")) uid_next_ = parse_number<std::uint32_t>(value).value_or(0);
    }
}

// Whatever else it is, nobody here asked for it.
bool ResponseGuard::skip_literal_of(std::string_view line) {
    if (const auto literal = literal_ahead(line)) {
        if (*literal > longest_skipped_literal) return refuse("a literal too large");
        skip_left_ = *literal;
        context_ = Context::skipped_literal;
    }
    return true;
}

bool ResponseGuard::on_search(std::string_view numbers) {
    while (!numbers.empty()) {
        const auto word = take_word(numbers);
        if (word.empty()) continue;
        if (word.starts_with('(')) break;  // (MODSEQ n), RFC 7162
        const auto number = parse_number<std::uint32_t>(word);
        if (!number) return refuse("a SEARCH that is not IMAP");
        found_.add(*number);
        if (found_.ranges().size() > most_uid_ranges) return refuse("a SEARCH without end");
    }
    return true;
}

// RFC 4731: (TAG "3") UID ALL 1:5,7, of which ALL is missing when nothing was found.
bool ResponseGuard::on_extended_search(std::string_view items) {
    if (items.starts_with('(')) items.remove_prefix(std::min(items.find(')'), items.size() - 1) + 1);
    bool are_uids = false;
    while (!items.empty()) {
        const auto name = take_word(items);
        if (name.empty()) continue;
        if (is_word(name, "UID")) {
            are_uids = true;
            continue;
        }
        const auto value = take_word(items);
        if (!is_word(name, "ALL")) continue;
        if (!are_uids || !found_.add_text(value, most_uid_ranges)) return refuse("an ESEARCH that is not IMAP");
    }
    return true;
}

bool ResponseGuard::on_vanished(std::string_view set) {
    // Without the word it is what another client removes now, of which the next look will know.
    if (!is_word(take_word(set), "(EARLIER)")) return true;
    return vanished_.add_text(set, most_uid_ranges) || refuse("a VANISHED that is not IMAP");
}

bool ResponseGuard::on_folder(std::string_view text) {
    const auto literal = literal_ahead(text);
    if (literal.value_or(0) > longest_folder_name) return skip_literal_of(text);
    if (!literal) {
        keep_folder(text, nullptr);
        return true;
    }
    folder_ = text.substr(0, text.rfind('{'));
    folder_name_.clear();
    skip_left_ = *literal;
    context_ = Context::folder_name;
    return true;
}

void ResponseGuard::keep_folder(std::string_view text, const std::string* name) {
    auto folder = parse_folder(text, name);
    if (folder && folder->has_special_use() && folders_.size() < most_folders) folders_.push_back(std::move(*folder));
}

// What a FETCH answer holds of "UID 7 RFC822.SIZE 12)", "UID 7 BODY[]<0> {12}", "BODY[] \"text\" UID 7)", and behind a
// literal of " UID 7)" or ")". Flags are left out: nothing here needs them.
struct ResponseGuard::FetchItems {
    ListedMessage message;
    std::string kept;     // for the parser
    bool wanted = false;  // it has what was asked for
    bool has_size = false;
    bool has_body = false;
    bool body_follows = false;

    void keep(std::string_view name, std::string_view value) {
        if (!kept.empty()) kept += ' ';
        kept.append(name).append(" ").append(value);
    }
};

bool ResponseGuard::on_fetch(std::uint32_t number, std::string_view text, bool behind_body, std::string& out) {
    FetchItems items;
    items.wanted = behind_body;
    items.message.number = number;
    if (text.size() > longest_fetch_line || !read_items(text, items)) {
        if (items.wanted || literal_ahead(text)) return refuse("a FETCH that was not asked for");
        return true;  // another client's flags, with what an extension says of them
    }
    if (items.has_size && expected_ == Answer::listing) listed_.push_back(items.message);
    if (!items.has_body && !behind_body) return true;
    if (behind_body)
        out += ' ';
    else
        out.append("* ").append(std::to_string(number)).append(" FETCH (");
    out.append(items.kept).append(items.body_follows ? "\r\n" : ")\r\n");
    if (items.body_follows) context_ = Context::fetch_after_body;
    return true;
}

bool ResponseGuard::read_items(std::string_view text, FetchItems& items) {
    while (!items.body_follows) {
        while (text.starts_with(' ')) text.remove_prefix(1);
        if (text == ")") return true;
        const auto name = take_word(text);
        if (starts_with_word(name, "BODY[]") ? !read_body(name, text, items) : !read_value(name, text, items))
            return false;
        if (!items.body_follows && !text.starts_with(' ') && text != ")") return false;
    }
    return true;
}

bool ResponseGuard::read_value(std::string_view name, std::string_view& text, FetchItems& items) {
    const auto take_number = [&]<class Number>(Number& number, std::uint64_t most) {
        const auto digits = text.substr(0, std::min(text.find_first_not_of("0123456789"), text.size()));
        text.remove_prefix(digits.size());
        const auto value = parse_number<std::uint64_t>(digits);
        number = static_cast<Number>(value.value_or(0));
        return value && *value <= most;
    };
    if (is_word(name, "UID")) {
        if (!take_number(items.message.uid, UINT32_MAX)) return false;
        if (expected_ == Answer::body || expected_ == Answer::part) items.keep(name, std::to_string(items.message.uid));
        return true;
    }
    if (is_word(name, "RFC822.SIZE")) {
        items.wanted = items.wanted || expected_ == Answer::listing;
        return items.has_size = take_number(items.message.octets, INT64_MAX);
    }
    if (is_word(name, "X-GM-MSGID")) return take_number(items.message.gmail_id, UINT64_MAX);
    if (is_word(name, "INTERNALDATE")) {
        const auto close = text.find('"', 1);
        if (!text.starts_with('"') || close == std::string_view::npos) return false;
        items.message.arrival = parse_internal_date(text.substr(1, close - 1));
        text.remove_prefix(close + 1);
        return true;
    }
    if (!is_word(name, "FLAGS") && !is_word(name, "MODSEQ")) return false;
    const auto close = text.find(')');
    if (!text.starts_with('(') || close == std::string_view::npos ||
        text.substr(0, close).find_first_of("\"{") != std::string_view::npos)
        return false;
    text.remove_prefix(close + 1);
    return true;
}

bool ResponseGuard::read_body(std::string_view name, std::string_view& text, FetchItems& items) {
    items.wanted = items.has_body = true;
    const auto origin = name.substr(6);  // "" or "<0>"
    if (!origin.empty() && expected_ == Answer::body) return false;
    if (!origin.empty() && !(origin.size() > 2 && origin.starts_with('<') && origin.ends_with('>') &&
                             parse_number<std::uint32_t>(origin.substr(1, origin.size() - 2))))
        return false;
    if (const auto literal = literal_ahead(text); literal && text.rfind('{') == 0) {
        if (bodies_due_ == 0 || *literal > UINT32_MAX) return false;
        --bodies_due_;
        items.body_follows = true;
        items.keep(name, text);
        body_left_ = *literal;
        return true;
    }
    std::size_t length = 0;
    if (starts_with_word(text, "NIL")) {
        length = 3;
    } else if (text.starts_with('"')) {
        std::size_t i = 1;
        while (i < text.size() && text[i] != '"') i += text[i] == '\\' ? 2 : 1;
        length = i + 1;
    }
    const auto value = text.substr(0, length);
    if (length == 0 || length > text.size() ||
        value.find_first_of(std::string_view("\0\r", 2)) != std::string_view::npos)
        return false;
    items.keep(name, value);
    text.remove_prefix(length);
    return true;
}

}  // namespace popgate::imap
