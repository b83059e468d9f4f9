#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace popgate::test {

/// A mailbox and the part of IMAP4rev1 with UIDPLUS that popgate asks for, with no socket in sight: fast, and always
/// right. What a test wants to be wrong it changes in the answers.
class TameImap {
public:
    struct Mail {
        std::uint32_t uid = 0;
        std::shared_ptr<const std::string> octets;
        bool is_deleted = false;
        bool is_seen = false;
    };

    void deliver(std::shared_ptr<const std::string> octets) { mails_.push_back({next_uid_++, std::move(octets)}); }
    const std::vector<Mail>& mails() const { return mails_; }
    /// UIDs that have been expunged.
    const std::set<std::uint32_t>& removed() const { return removed_; }

    static std::string greeting() { return "* OK [CAPABILITY IMAP4rev1 UIDPLUS] ready\r\n"; }
    /// To one line, tag and all, without its CRLF. Any user and any password will do.
    std::string answer(std::string_view line);

private:
    std::string select() const;
    std::string search(std::string_view criteria) const;
    std::string fetch(std::string_view rest, bool by_uid) const;
    void store(std::string_view rest);
    std::string expunge(std::string_view uids);
    /// Whether a set as "1:3,7,9:*" holds this number.
    static bool holds(std::string_view set, std::uint64_t number, std::uint64_t last);
    std::uint32_t last_uid() const { return mails_.empty() ? 0 : mails_.back().uid; }

    std::vector<Mail> mails_;
    std::set<std::uint32_t> removed_;
    std::uint32_t next_uid_ = 1;
};

}  // namespace popgate::test
