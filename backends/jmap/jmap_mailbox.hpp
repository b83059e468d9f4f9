#pragma once

#include "backends/http/read_ahead.hpp"
#include "backends/jmap/api.hpp"
#include "backends/mailbox.hpp"

#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace popgate::jmap {

/// What a route says of its JMAP server.
struct JmapSettings {
    Discovery discovery;
    std::string folder = "INBOX";  ///< a path, as find_folder() wants it; likewise the others
    std::string trash_folder;
    std::string archive_folder;
};

/// One folder of one account. A message that is in other folders too is taken out of this one alone.
class JmapMailbox final : public Mailbox {
public:
    static Result<std::unique_ptr<Mailbox>> open(std::shared_ptr<const JmapSettings> settings, std::unique_ptr<Api> api,
                                                 const std::string& account);

    Result<Listing> list(KnownMailbox known) override;
    std::string unique_id(const MessageInfo& message) const override { return message.id; }
    Result<std::vector<bool>> unread(const std::vector<MessageInfo>& messages) override;
    Status fetch(const MessageInfo& message, BodySink& sink) override;
    void expect(const std::vector<const MessageInfo*>& next) override { ahead_.expect(next); }
    Status fetch_top(const MessageInfo& message, BodySink& sink) override { return ask_for(message, sink); }
    RemovalReport remove(const std::vector<MessageInfo>& messages) override { return take_out(messages, {}); }
    RemovalReport move(const std::vector<MessageInfo>& messages, SpecialFolder target) override;
    Status mark_seen(const std::vector<MessageInfo>& messages) override;
    // Nothing to keep: each request stands alone.
    Status keep_alive() override { return {}; }
    void close() override {}

private:
    JmapMailbox(std::shared_ptr<const JmapSettings> settings, std::unique_ptr<Api> api);

    /// Finds the folder. Gives the answers to Look::changes_call() and Mailbox/get; none where that was not asked.
    Result<std::vector<Answer>> open_folder(const KnownMailbox& known);

    struct Blob {
        std::string id;
        std::uint64_t size = 0;
    };
    /// Errc::gone: the server has no such blob.
    static Status download(Api& api, const Blob& blob, BodySink& sink);
    Status ask_for(const MessageInfo& message, BodySink& sink);
    /// Errc::gone: the message is in this folder no longer.
    Result<Blob> blob_of(const std::string& id);
    Status find_blobs(const std::string& first);

    /// Into the folder `target`; empty: into none, and destroyed where it is in no other.
    RemovalReport take_out(const std::vector<MessageInfo>& messages, const std::string& target);
    struct Fates;
    Status take_batch(const std::vector<std::string>& ids, const std::string& target, Fates& fates);

    /// Email/set of some changes, again for what the server has put off. A patch of null destroys.
    using Changes = std::unordered_map<std::string, boost::json::value>;
    struct Outcome {
        std::unordered_set<std::string> done;
        std::unordered_map<std::string, std::string> refused;  ///< by id: the SetError's type
    };
    Status change(Changes changes, Outcome& outcome);

    std::shared_ptr<const JmapSettings> settings_;
    std::unique_ptr<Api> api_;
    std::vector<Folder> folders_;
    std::string folder_;                           // its id, from list() on
    std::vector<std::string> ids_;                 // of the snapshot
    std::size_t cursor_ = 0;                       // where in ids_ the client probably is
    std::unordered_map<std::string, Blob> blobs_;  // some, by message
    std::unordered_set<std::string> taken_out_;    // by this session
    http::ReadAhead ahead_;
};

}  // namespace popgate::jmap
