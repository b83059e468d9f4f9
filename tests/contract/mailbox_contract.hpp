#pragma once

#include "backends/mailbox.hpp"
#include "backends/upstream_login.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace popgate {
inline void PrintTo(Removal removal, std::ostream* out) {
    *out << (removal == Removal::removed  ? "removed"
             : removal == Removal::gone   ? "gone"
             : removal == Removal::failed ? "failed"
                                          : "unknown");
}
}  // namespace popgate

namespace popgate::test {

/// One mailbox of one kind, seen from behind: what delivery and other programs do to it.
class MailboxFixture {
public:
    virtual ~MailboxFixture() = default;

    virtual const Backend& backend() const = 0;
    virtual std::string user() const = 0;
    virtual std::string password() const { return "secret"; }
    virtual UpstreamLogin login() const { return {user(), Secret(password())}; }

    /// What deliver() throws where the store does not take such a message.
    struct Refused : std::runtime_error {
        using std::runtime_error::runtime_error;
    };
    virtual bool refuses_some() const { return false; }

    /// Delivers a message. Gives it back as the mailbox has it now, which may be quoted or ended by a line end.
    virtual std::string deliver(const std::string& raw) = 0;

    /// Another program removes a message; 0 is the oldest that is there now.
    virtual void remove(std::size_t index) = 0;

    /// Whether the message bears a mark that it was read; nothing where the kind knows no such mark.
    virtual std::optional<bool> is_seen(std::size_t index) const = 0;

    /// False for a store that answers alike whether it removed a message or found none (IMAP's UID EXPUNGE).
    virtual bool tells_gone_from_removed() const { return true; }

    /// True for a store in which two copies of the same octets are one message (ids that are made of the content).
    virtual bool folds_copies() const { return false; }

    /// True for a store that may still give, whole, what another client has removed after the listing.
    virtual bool gives_what_was_removed() const { return false; }

    /// True for a store that gives a message by its id whatever folder it is in by now.
    virtual bool gives_what_was_moved() const { return false; }

    /// Whether move() finds both folders here; what follows is only asked then.
    virtual bool has_folders() const { return false; }
    /// The texts of the messages in a folder, in any order.
    virtual std::vector<std::string> folder(SpecialFolder) const { return {}; }
    /// The same store with a route that knows no folder; null where there is always one.
    virtual const Backend* backend_without_folders() const { return nullptr; }
};

struct MailboxKind {
    std::string name;
    /// Nothing when this machine lacks what the kind needs.
    std::function<std::unique_ptr<MailboxFixture>()> make;
};

inline void PrintTo(const MailboxKind& kind, std::ostream* out) { *out << kind.name; }
inline std::string kind_name(const testing::TestParamInfo<MailboxKind>& info) { return info.param.name; }

/// What the interface promises (backends/mailbox.hpp), for every kind alike.
class MailboxContract : public testing::TestWithParam<MailboxKind> {};

/// A directory that goes with its owner.
class TemporaryDirectory {
public:
    TemporaryDirectory();
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    ~TemporaryDirectory();
    const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

}  // namespace popgate::test
