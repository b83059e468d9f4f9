#pragma once

#include "backends/http/read_ahead.hpp"
#include "backends/rest/listing.hpp"

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

namespace popgate::rest {

/// A folder behind a described API. Every look is at everything.
class RestMailbox final : public Mailbox {
public:
    /// `targets`: ids of the folders for SpecialFolder::trash and ::archive; empty: there is none.
    /// `first`: what read_first_page() has told.
    RestMailbox(std::unique_ptr<Api> api, std::string folder_id, std::array<std::string, 2> targets,
                std::optional<Page> first);

    Result<Listing> list(KnownMailbox known) override;
    std::string unique_id(const MessageInfo& message) const override;
    Result<std::vector<bool>> unread(const std::vector<MessageInfo>& messages) override;
    Status fetch(const MessageInfo& message, BodySink& sink) override;
    void expect(const std::vector<const MessageInfo*>& next) override;
    Status fetch_top(const MessageInfo& message, BodySink& sink) override;
    RemovalReport remove(const std::vector<MessageInfo>& messages) override;
    RemovalReport move(const std::vector<MessageInfo>& messages, SpecialFolder target) override;
    std::size_t removal_batch() const override;
    Status mark_seen(const std::vector<MessageInfo>& messages) override;
    Status keep_alive() override;
    void close() override;

private:
    /// False only where the server says so.
    bool is_there(const MessageInfo& message);
    RemovalReport for_each(const Call& call, const std::vector<MessageInfo>& messages, const std::string& target,
                           std::string_view what);

    std::unique_ptr<Api> api_;
    std::string folder_id_;
    std::array<std::string, 2> targets_;
    std::optional<Page> first_;
    std::unordered_set<std::string> seen_;
    http::ReadAhead ahead_;
};

}  // namespace popgate::rest
