#include "backends/graph/graph_mailbox.hpp"

#include "backends/graph/listing.hpp"
#include "backends/graph/removal.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <unordered_set>
#include <utility>

namespace popgate::graph {

namespace {

constexpr std::string_view well_known_target[] = {"deleteditems", "archive"};
constexpr int unread_passes = 2;

// The text is made on demand and need not be the same each time; nothing of it is kept beyond its session.
Status fetch_value(Api& api, const std::string& id, BodySink& sink) {
    const auto answered = api.stream(api.url("/messages/" + http::encode_component(id) + "/$value"), sink);
    if (!answered) return answered.error();
    if (!answered->ok()) {
        const auto error = api.failure(*answered, "the message cannot be fetched");
        if (answered->status == 404 || answered->status == 410)
            return Error{Errc::gone, "the message is gone", error.detail};
        if (parse_error_code(answered->body) == "ErrorMimeContentConversionFailed")
            return Error{Errc::permanent, "the mail server cannot write this message as an e-mail", error.detail};
        return error;
    }
    return {};
}

}  // namespace

GraphMailbox::GraphMailbox(std::unique_ptr<Api> api, Folder folder, std::array<std::string, 2> special_folders)
    : api_(std::move(api)),
      folder_(std::move(folder)),
      special_folders_(std::move(special_folders)),
      ahead_(api_->fiber(), api_->upstream(), [this](Fiber& fiber, const MessageInfo& message) {
          auto other = api_->ahead(fiber);
          if (!other) return http::ReadAhead::Read();
          return http::ReadAhead::Read(
              [other = std::move(other), id = message.id](BodySink& sink) { return fetch_value(*other, id, sink); });
      }) {}

Result<Listing> GraphMailbox::list(KnownMailbox known) { return Look(*api_, folder_, std::move(known)).list(); }

std::string GraphMailbox::unique_id(const MessageInfo& message) const { return message.id; }

// What is marked meanwhile moves others over the boundary of two pages: what either of two passes shows is unread, so
// that no new mail is passed over.
Result<std::vector<bool>> GraphMailbox::unread(const std::vector<MessageInfo>& messages) {
    const auto path =
        "/mailFolders/" + http::encode_component(folder_.id) + "/messages?$filter=isRead%20eq%20false&$select=id";
    std::unordered_set<std::string> ids;
    for (int passes = 0; passes < unread_passes; ++passes) {
        auto pages = read_pages(*api_, path);
        if (!pages) return pages.error();
        for (auto& each : pages->items) ids.insert(std::move(each.id));
        if (!pages->has_many_pages) break;
    }
    std::vector<bool> unread;
    unread.reserve(messages.size());
    for (const auto& each : messages) unread.push_back(ids.contains(each.id));
    return unread;
}

Status GraphMailbox::fetch(const MessageInfo& message, BodySink& sink) {
    return ahead_.fetch(message, sink, [&](BodySink& to) { return fetch_value(*api_, message.id, to); });
}

Status GraphMailbox::fetch_top(const MessageInfo& message, BodySink& sink) {
    return fetch_value(*api_, message.id, sink);
}

// Where they go is not told; they are no longer seen, but can be got back for some time ("Recoverable Items").
Mailbox::RemovalReport GraphMailbox::remove(const std::vector<MessageInfo>& messages) {
    return remove_messages(*api_, folder_.id, messages,
                           {.method = "DELETE", .not_offered = "the mail server refuses to remove messages"});
}

Mailbox::RemovalReport GraphMailbox::purge(const std::vector<MessageInfo>& messages) {
    return remove_messages(*api_, folder_.id, messages,
                           {.method = "POST",
                            .suffix = "/permanentDelete",
                            .not_offered = "the mail server does not offer to remove messages for good"});
}

Mailbox::RemovalReport GraphMailbox::move(const std::vector<MessageInfo>& messages, SpecialFolder target) {
    RemovalReport report{std::vector(messages.size(), Removal::failed), {}};
    if (messages.empty()) return report;
    const auto place = target == SpecialFolder::trash ? 0U : 1U;
    auto& id = target_ids_[place];
    if (id.empty()) {
        const auto& name = special_folders_[place];
        // Asked beforehand: a 404 for a move would not tell whether the message or the folder is missing.
        auto found = find_folder(*api_, name.empty() ? well_known_target[place] : std::string_view(name));
        if (!found && found.error().code == Errc::gone)
            found = Error{Errc::permanent, "there is no folder to move messages to", found.error().detail};
        if (!found) {
            report.status = found.error();
            return report;
        }
        id = found->id;
    }
    if (id == folder_.id) {
        report.status =
            Error{Errc::permanent, "the messages are in the folder already that they would be moved to", {}};
        return report;
    }
    return remove_messages(*api_, folder_.id, messages,
                           {.method = "POST",
                            .suffix = "/move",
                            .body = boost::json::serialize(boost::json::object{{"destinationId", id}}),
                            .not_offered = "the mail server refuses to move messages"});
}

std::size_t GraphMailbox::removal_batch() const { return 5 * batch_size; }

Status GraphMailbox::mark_seen(const std::vector<MessageInfo>& messages) { return mark_as_read(*api_, messages); }

Status GraphMailbox::keep_alive() { return {}; }  // there is no session to be kept

void GraphMailbox::close() {}

}  // namespace popgate::graph
