#pragma once

#include "backends/graph/api.hpp"
#include "backends/mailbox.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace popgate::graph {

/// All that a list has, page by page. It is cut by position: what changes meanwhile may be told twice or not at all.
struct Pages {
    std::vector<Item> items;
    bool has_many_pages = false;
};
/// `path`: below the owner, with a query.
Result<Pages> read_pages(Api& api, const std::string& path);

/// What is known of a folder's messages while pages of changes come in. Pure.
class Snapshot {
public:
    explicit Snapshot(std::vector<MessageInfo> known);

    /// A look at everything begins: only what a page shows from now on is there in the end.
    void begin_anew();
    /// The last word about a message is the one that counts.
    void apply(const Item& item);

    /// Where `with_unseen`, also those that were known before and that no page has shown or removed yet.
    std::size_t size(bool with_unseen) const { return seen_ + (with_unseen ? unseen_ : 0); }
    /// Oldest first. Leaves nothing behind.
    std::vector<MessageInfo> take(bool with_unseen);

private:
    enum class Place : unsigned char { unseen, seen, removed };
    void move_to(std::size_t index, Place place);

    std::vector<MessageInfo> messages_;
    std::vector<Place> places_;
    std::unordered_map<std::string, std::size_t> by_id_;  // made with the first change
    std::size_t unseen_ = 0;
    std::size_t seen_ = 0;
    bool has_changed_ = false;
};

/// A look at a folder: what has changed since the last one (messages/delta), or everything. What was found is compared
/// with the number of messages that the folder has; see README.md for what happens where they disagree.
class Look {
public:
    Look(Api& api, const Folder& folder, KnownMailbox known);

    /// To be called once. Errors are temporary, or permanent where the mailbox may not be read.
    Result<Listing> list();

private:
    enum class Outcome { complete, unfinished, must_begin_anew, not_offered };
    enum class Agreement { yes, fewer, more };

    Result<Listing> everything();
    Result<Outcome> by_delta(http::Url url, bool from_state);
    Result<Agreement> compare(bool with_unseen);
    Result<Listing> plainly();
    Result<std::uint64_t> item_count();
    Result<std::optional<std::uint64_t>> message_count();
    Listing take(bool with_unseen);
    Listing take_unfinished();
    void pause(int attempt);

    Api& api_;
    std::string folder_;  // as a path
    std::string state_before_;
    Snapshot snapshot_;
    std::optional<Deadline> patience_;
    std::size_t page_size_;
    std::string link_;  // where it goes on; empty: each look is at everything
};

}  // namespace popgate::graph
