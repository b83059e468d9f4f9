#pragma once

#include "backends/graph/api.hpp"
#include "backends/http/read_ahead.hpp"
#include "backends/mailbox.hpp"

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace popgate::graph {

/// A folder of a mailbox in Exchange Online. Message ids are immutable ones: they stay when a message is moved.
class GraphMailbox final : public Mailbox {
public:
    /// `special_folders`: the route's names for SpecialFolder::trash and ::archive; empty: the well-known ones.
    GraphMailbox(std::unique_ptr<Api> api, Folder folder, std::array<std::string, 2> special_folders);

    Result<Listing> list(KnownMailbox known) override;
    std::string unique_id(const MessageInfo& message) const override;
    Result<std::vector<bool>> unread(const std::vector<MessageInfo>& messages) override;
    Status fetch(const MessageInfo& message, BodySink& sink) override;
    void expect(const std::vector<const MessageInfo*>& next) override { ahead_.expect(next); }
    Status fetch_top(const MessageInfo& message, BodySink& sink) override;
    RemovalReport remove(const std::vector<MessageInfo>& messages) override;
    RemovalReport purge(const std::vector<MessageInfo>& messages) override;
    RemovalReport move(const std::vector<MessageInfo>& messages, SpecialFolder target) override;
    std::size_t removal_batch() const override;
    Status mark_seen(const std::vector<MessageInfo>& messages) override;
    Status keep_alive() override;
    void close() override;

private:
    std::unique_ptr<Api> api_;
    Folder folder_;
    std::array<std::string, 2> special_folders_;
    std::array<std::string, 2> target_ids_;  // as far as they were asked for
    http::ReadAhead ahead_;
};

}  // namespace popgate::graph
