#pragma once

#include "backends/imap/imap_connection.hpp"
#include "backends/mailbox.hpp"

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace popgate::imap {

/// A folder of an IMAP account. A connection that was lost between two calls is opened anew, provided that the
/// mailbox is still the same one (UIDVALIDITY).
class ImapMailbox final : public Mailbox {
public:
    ImapMailbox(Fiber& fiber, std::shared_ptr<const ImapSettings> settings, UpstreamLogin login,
                std::unique_ptr<ImapConnection> connection);

    Result<Listing> list(KnownMailbox known) override;
    std::string unique_id(const MessageInfo& message) const override;
    Status fetch(const MessageInfo& message, BodySink& sink) override;
    void expect(const std::vector<const MessageInfo*>& next) override;
    Status fetch_top(const MessageInfo& message, BodySink& sink) override;
    RemovalReport remove(const std::vector<MessageInfo>& messages) override;
    Result<std::vector<bool>> unread(const std::vector<MessageInfo>& messages) override;
    RemovalReport move(const std::vector<MessageInfo>& messages, SpecialFolder target) override;
    Status mark_seen(const std::vector<MessageInfo>& messages) override;
    Status keep_alive() override;
    void close() override;

private:
    using Operation = std::function<Status(EtpanSession&)>;

    /// Runs `operation`, once more on a new connection when the old one turns out to be lost and `may_repeat` says so.
    Status on_connection(const Operation& operation, const std::function<bool()>& may_repeat);
    Status on_connection(const Operation& operation);
    Status log_in_again();
    Status reconnect();
    Status fetch_whole(const MessageInfo& message, BodySink& sink);
    Result<std::optional<std::string>> take_ready(std::uint32_t uid);
    void ask_ahead();
    Status fetch_beginnings(const MessageInfo& message, BodySink& sink);
    Result<std::string> folder_for(SpecialFolder purpose);
    void tell_outcomes(const std::vector<std::uint32_t>& uids, const std::vector<std::uint32_t>& unmarked,
                       RemovalReport& report);

    Fiber& fiber_;
    std::shared_ptr<const ImapSettings> settings_;
    UpstreamLogin login_;
    std::unique_ptr<ImapConnection> connection_;
    std::uint32_t uid_validity_ = 0;  // 0 before list()
    struct Expected {
        std::uint32_t uid;
        std::uint64_t octets;
    };
    std::vector<Expected> next_;                  // will probably be fetched next
    std::vector<EtpanSession::Body> ready_;       // got ahead
    std::size_t unused_ = 0;                      // asked for ahead, and not given to a client so far
    unsigned rest_ = 0;                           // messages that are to be fetched before one is got ahead again
    std::string id_suffix_;                       // of unique-ids that would mean another message otherwise
    std::array<std::string, 2> special_folders_;  // those that the server named, as far as it was asked
};

}  // namespace popgate::imap
