#pragma once

#include "backends/gmail/api.hpp"
#include "backends/http/read_ahead.hpp"
#include "backends/mailbox.hpp"
#include "backends/unique_id_format.hpp"

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace popgate::gmail {

/// What a route says, once taken apart.
struct Settings {
    http::Origin root;
    std::string name;            ///< of the upstream, in mailbox_key()
    std::string mailbox;         ///< whose; %u, %n, %d; empty: the credential's owner's
    std::string folder;          ///< labels' names
    std::string trash_folder;    ///< empty: Gmail's trash
    std::string archive_folder;  ///< empty: all mail
    http::CredentialForm form;
    std::string token_file;  ///< empty: the client's password is the token
    std::uint32_t units_per_minute = 0;
    UniqueIdFormat unique_ids;
    std::shared_ptr<const http::Upstream> upstream;
};

/// The messages under one label of a Gmail account.
class GmailMailbox final : public Mailbox {
public:
    /// `label` was asked for just now.
    GmailMailbox(std::unique_ptr<Api> api, std::shared_ptr<const Settings> settings, Label label, std::string user);

    Result<Listing> list(KnownMailbox known) override;
    std::string unique_id(const MessageInfo& message) const override;
    Result<std::vector<bool>> unread(const std::vector<MessageInfo>& messages) override;
    Status fetch(const MessageInfo& message, BodySink& sink) override;
    void expect(const std::vector<const MessageInfo*>& next) override { ahead_.expect(next); }
    Status fetch_top(const MessageInfo& message, BodySink& sink) override;
    RemovalReport remove(const std::vector<MessageInfo>& messages) override;
    RemovalReport purge(const std::vector<MessageInfo>& messages) override;
    std::size_t removal_batch() const override { return most_ids; }
    RemovalReport move(const std::vector<MessageInfo>& messages, SpecialFolder target) override;
    Status mark_seen(const std::vector<MessageInfo>& messages) override;
    Status keep_alive() override { return {}; }  // each request stands alone
    void close() override {}

private:
    using Change = std::function<Result<http::Response>(const std::vector<std::string>& ids)>;
    using Ids = std::unordered_set<std::string>;
    RemovalReport change_all(const std::vector<MessageInfo>& messages, const Change& change);
    void change_some(const std::vector<MessageInfo>& messages, const std::vector<std::size_t>& places,
                     const Change& change, RemovalReport& report);
    Result<Ids> find_there(const std::vector<std::string>& ids);
    Result<Ids> ask_there(std::vector<std::string> ids);
    Result<std::string> label_for(SpecialFolder target);

    std::unique_ptr<Api> api_;
    std::shared_ptr<const Settings> settings_;
    Label label_;
    std::string user_;
    bool lacks_scope_ = false;                       // to delete for ever, as the server has said
    std::string history_id_;                         // of the listing or later; empty: unknown
    std::unordered_map<std::string, bool> touched_;  // since the listing: id, and whether it has left, as far as known
    http::ReadAhead ahead_;
};

/// What a request may cost, so that it does not wait for its units for long.
std::uint32_t most_units(const Settings& settings);

}  // namespace popgate::gmail
