#pragma once

#include "backends/graph/api.hpp"
#include "backends/mailbox.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace popgate::graph {

/// What takes one message out of its folder.
struct RemovalAction {
    std::string method;
    std::string suffix{};          ///< behind the message's address: "/move"
    std::string body{};            ///< JSON, or empty
    std::string_view not_offered;  ///< for the client, where the server knows no such action
};

/// Does it to those of `messages` that are still in the folder of that id, by batches: another client may have moved
/// one elsewhere, where it keeps its id, and there it must stay. What became of one whose answer was lost is asked, and
/// only what is still in the folder is tried again.
Mailbox::RemovalReport remove_messages(Api& api, const std::string& folder_id, const std::vector<MessageInfo>& messages,
                                       const RemovalAction& action);

/// Those that are gone are passed over.
Status mark_as_read(Api& api, const std::vector<MessageInfo>& messages);

}  // namespace popgate::graph
