#pragma once

#include "backends/jmap/api.hpp"
#include "backends/mailbox.hpp"

#include <functional>
#include <optional>
#include <string>

namespace popgate::jmap {

/// What is in one folder, as Mailbox::list() wants it. `on_new` is given each Email that was not known.
class Look {
public:
    Look(Api& api, std::string folder, std::function<void(const Email&)> on_new)
        : api_(api), folder_(std::move(folder)), on_new_(std::move(on_new)) {}

    /// `changes`: the answers to changes_call() since `known` and to Mailbox/get; empty where that was not asked yet.
    Result<Listing> list(KnownMailbox known, std::vector<Answer> changes);

    static Call changes_call(const Api& api, const std::string& since);

private:
    /// Nothing where that cannot be relied on, and all is to be looked at.
    Result<std::optional<Listing>> list_changes(KnownMailbox& known, const std::string& since,
                                                std::vector<Answer> answers);
    /// Nothing where the mailbox changed meanwhile. `paged`: ids and Emails together, page by page; else all ids first,
    /// in one answer if the server likes, which no page's edge can spoil.
    Result<std::optional<Emails>> list_all(bool paged);
    Status read_page(std::uint64_t position, bool paged, std::vector<Answer>& answers, bool& too_large);
    /// How many messages the folder itself says that it holds.
    Result<std::uint64_t> count();
    Call count_call() const;
    Result<MessageInfo> describe(const Email& email) const;
    Listing finish(std::vector<MessageInfo> messages, const std::string& state) const;

    Api& api_;
    std::string folder_;
    std::function<void(const Email&)> on_new_;
};

}  // namespace popgate::jmap
