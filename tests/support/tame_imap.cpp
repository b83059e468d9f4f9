#include "tests/support/tame_imap.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

namespace popgate::test {

namespace {

/// The first word, which is taken off.
std::string_view next_word(std::string_view& text) {
    const auto word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    return word;
}

std::string upper_case(std::string_view text) {
    std::string upper(text);
    std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return upper;
}

std::uint64_t number_of(std::string_view text, std::uint64_t last) {
    if (text == "*") return last;
    std::uint64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

/// "BODY.PEEK[…]<0.100>" in `items`: the section, its reply's name, and the octets of it.
std::string body(std::string_view items, std::string_view octets) {
    const auto open = items.find('[');
    const auto close = items.find(']', open);
    const auto section = items.substr(open + 1, close - open - 1);
    const auto blank = octets.find("\r\n\r\n");
    const auto header = octets.substr(0, blank == octets.npos ? octets.size() : blank + 4);
    auto part = section == "HEADER" ? header : section == "TEXT" ? octets.substr(header.size()) : octets;
    std::string origin;
    if (close + 1 < items.size() && items[close + 1] == '<') {
        const auto dot = items.find('.', close);
        const auto first = number_of(items.substr(close + 2, dot - close - 2), 0);
        const auto count = number_of(items.substr(dot + 1, items.find('>', dot) - dot - 1), 0);
        part = part.substr(std::min<std::size_t>(first, part.size()), count);
        origin = "<" + std::to_string(first) + ">";
    }
    return " BODY[" + std::string(section) + "]" + origin + " {" + std::to_string(part.size()) + "}\r\n" +
           std::string(part);
}

}  // namespace

std::string TameImap::answer(std::string_view line) {
    const std::string tag(next_word(line));
    auto verb = upper_case(next_word(line));
    const bool by_uid = verb == "UID";
    if (by_uid) verb = upper_case(next_word(line));
    std::string untagged;
    if (verb == "SELECT" || verb == "EXAMINE") {
        untagged = select();
    } else if (verb == "FETCH") {
        untagged = fetch(line, by_uid);
    } else if (verb == "SEARCH") {
        untagged = search(line);
    } else if (verb == "STORE" && by_uid) {
        store(line);
    } else if (verb == "EXPUNGE" && by_uid) {
        untagged = expunge(line);
    } else if (verb == "CAPABILITY") {
        untagged = "* CAPABILITY IMAP4rev1 UIDPLUS\r\n";
    } else if (verb == "LOGOUT") {
        untagged = "* BYE bye\r\n";
    } else if (verb != "LOGIN" && verb != "NOOP" && verb != "ID") {
        return tag + " BAD unknown command\r\n";
    }
    return untagged + tag + " OK done\r\n";
}

std::string TameImap::select() const {
    return "* FLAGS (\\Seen \\Deleted)\r\n* OK [PERMANENTFLAGS (\\Seen \\Deleted)] ok\r\n* " +
           std::to_string(mails_.size()) + " EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [UIDNEXT " +
           std::to_string(next_uid_) + "] ok\r\n";
}

std::string TameImap::search(std::string_view criteria) const {
    const auto asked = upper_case(criteria);
    std::string_view rest = asked;
    std::string found = "* SEARCH";
    std::string_view numbers;
    std::string_view uids;
    if (!rest.empty() && (std::isdigit(static_cast<unsigned char>(rest.front())) || rest.front() == '*'))
        numbers = next_word(rest);
    if (const auto at = rest.find("UID "); at != rest.npos) {
        uids = rest.substr(at + 4);
        uids = uids.substr(0, uids.find(' '));
    }
    const bool deleted = (' ' + asked).find(" DELETED") != std::string::npos;
    const bool undeleted = asked.find("UNDELETED") != std::string::npos;
    const bool unseen = asked.find("UNSEEN") != std::string::npos;
    for (std::size_t at = 0; at < mails_.size(); ++at) {
        const auto& mail = mails_[at];
        if ((!numbers.empty() && !holds(numbers, at + 1, mails_.size())) ||
            (!uids.empty() && !holds(uids, mail.uid, last_uid())) || (deleted && !mail.is_deleted) ||
            (undeleted && mail.is_deleted) || (unseen && mail.is_seen))
            continue;
        found += ' ' + std::to_string(mail.uid);
    }
    return found + "\r\n";
}

std::string TameImap::fetch(std::string_view rest, bool by_uid) const {
    const auto set = next_word(rest);
    const auto items = upper_case(rest);
    const auto has = [&](std::string_view item) { return items.find(item) != std::string::npos; };
    std::string answer;
    for (std::size_t at = 0; at < mails_.size(); ++at) {
        const auto& mail = mails_[at];
        if (!(by_uid ? holds(set, mail.uid, last_uid()) : holds(set, at + 1, mails_.size()))) continue;
        answer += "* " + std::to_string(at + 1) + " FETCH (UID " + std::to_string(mail.uid);
        if (has("FLAGS")) answer += mail.is_deleted ? " FLAGS (\\Deleted)" : " FLAGS ()";
        if (has("RFC822.SIZE")) answer += " RFC822.SIZE " + std::to_string(mail.octets->size());
        if (has("INTERNALDATE")) answer += " INTERNALDATE \"01-Jan-2024 00:00:00 +0000\"";
        if (has("BODY")) answer += body(std::string_view(items).substr(items.find("BODY")), *mail.octets);
        answer += ")\r\n";
    }
    return answer;
}

void TameImap::store(std::string_view rest) {
    const auto set = next_word(rest);
    const auto change = upper_case(rest);
    const bool on = change.front() != '-';
    for (auto& mail : mails_) {
        if (!holds(set, mail.uid, last_uid())) continue;
        if (change.find("\\DELETED") != std::string::npos) mail.is_deleted = on;
        if (change.find("\\SEEN") != std::string::npos) mail.is_seen = on;
    }
}

std::string TameImap::expunge(std::string_view uids) {
    std::string answer;
    const auto last = last_uid();
    for (std::size_t at = mails_.size(); at-- > 0;) {
        if (!mails_[at].is_deleted || !holds(uids, mails_[at].uid, last)) continue;
        answer += "* " + std::to_string(at + 1) + " EXPUNGE\r\n";
        removed_.insert(mails_[at].uid);
        mails_.erase(mails_.begin() + static_cast<std::ptrdiff_t>(at));
    }
    return answer;
}

bool TameImap::holds(std::string_view set, std::uint64_t number, std::uint64_t last) {
    while (!set.empty()) {
        const auto range = set.substr(0, set.find(','));
        set.remove_prefix(std::min(range.size() + 1, set.size()));
        const auto colon = range.find(':');
        const auto one = number_of(range.substr(0, colon), last);
        const auto other = colon == range.npos ? one : number_of(range.substr(colon + 1), last);
        if (number >= std::min(one, other) && number <= std::max(one, other)) return true;
    }
    return false;
}

}  // namespace popgate::test
