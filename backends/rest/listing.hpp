#pragma once

#include "backends/rest/api.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

namespace popgate::rest {

/// A part of the list, and what it says of the rest.
struct Page {
    struct Item {
        MessageInfo message;
        bool seen = false;
    };
    std::vector<Item> items;
    std::string next;  ///< empty: this is the last one
    std::optional<std::uint64_t> total;
};

struct Folder {
    std::string id;
    std::string name;
    std::string use;
};

/// The first page, whose answer also proves the password.
Result<Page> read_first_page(Api& api, const std::string& folder_id);

/// All messages, oldest first, each once. `first` is used for the first look's first page. Looks again where the
/// pages do not make what the server says there is; Errc::temporary when they never do.
Result<std::vector<Page::Item>> read_list(Api& api, const std::string& folder_id, std::optional<Page> first);

/// Description::folder_list.
Result<std::vector<Folder>> read_folders(Api& api);

}  // namespace popgate::rest
