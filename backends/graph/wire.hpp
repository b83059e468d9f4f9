#pragma once

#include "backends/errors.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// What Microsoft Graph writes and reads as JSON, as values. Pure.
namespace popgate::graph {

/// The value of $expand that brings a message's size (PidTagMessageSize) along.
inline constexpr std::string_view size_property =
    "singleValueExtendedProperties($filter=id%20eq%20%27Integer%200x0E08%27)";

/// One message of a page, or what has become of one.
struct Item {
    std::string id;
    bool removed = false;                 ///< a delta's word that it is no longer in the folder
    std::optional<std::int64_t> arrival;  ///< seconds since 1970
    std::optional<std::uint64_t> octets;  ///< of the stored object: about those of the MIME text
};

struct Page {
    std::vector<Item> items;
    std::string next_link;               ///< more is to come
    std::string delta_link;              ///< that was all, and what changes from now on is told here
    std::optional<std::uint64_t> count;  ///< @odata.count: of all pages together
};

/// Errc::temporary for what is no page, and for an item without a usable id: it must not be passed over.
Result<Page> parse_page(std::string_view json);

struct Folder {
    std::string id;
    std::string name;  ///< UTF-8
    std::optional<std::uint64_t> items;
};

Result<Folder> parse_folder(std::string_view json);

struct FolderPage {
    std::vector<Folder> folders;
    std::string next_link;
};
Result<FolderPage> parse_folders(std::string_view json);

/// error.code of an answer that is no success; empty where it is no such JSON.
std::string parse_error_code(std::string_view json);

/// One request of a batch (docs: "Combine multiple HTTP requests using JSON batching").
struct InnerRequest {
    std::string method;
    std::string url;   ///< relative to the API's root: "/me/messages/…"
    std::string body;  ///< JSON, or empty
};

inline constexpr std::size_t batch_size = 20;  ///< the most that one batch may hold

/// Each asks for immutable ids; their answers are told apart by the place in `requests`.
std::string to_batch(std::span<const InnerRequest> requests);

struct InnerAnswer {
    int status = 0;                            ///< 0: there was none
    std::optional<std::chrono::seconds> wait;  ///< Retry-After
    std::string code;                          ///< error.code
    std::string parent_folder;                 ///< of a message
};

/// The answers to `count` requests in their order, whatever the order they came in.
Result<std::vector<InnerAnswer>> parse_batch(std::string_view json, std::size_t count);

/// Where the next look at a folder may begin: the text of Listing::state.
struct ListingState {
    bool unfinished = false;  ///< `link` leads on in the middle of a look at everything
    std::string link;         ///< a nextLink or deltaLink, octet for octet
    bool operator==(const ListingState&) const = default;
};

std::string to_text(const ListingState& state);
/// Nothing for what to_text() did not write.
std::optional<ListingState> parse_listing_state(std::string_view text);

}  // namespace popgate::graph
