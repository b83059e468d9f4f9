#include "backends/jmap/jmap_mailbox.hpp"

#include "backends/jmap/listing.hpp"

#include <boost/json/array.hpp>

#include <algorithm>
#include <utility>

namespace popgate::jmap {

namespace json = boost::json;

namespace {

constexpr std::size_t most_blobs = 1000;  // kept at once
constexpr std::size_t blobs_a_question = 500;
constexpr std::string_view cannot_fetch = "the message cannot be had";

Error gone() { return {Errc::gone, "the message is gone", {}}; }

/// Counts what the sink was given.
class CountingSink final : public BodySink {
public:
    explicit CountingSink(BodySink& sink) : sink_(sink) {}
    bool write(std::string_view octets) noexcept override {
        count_ += octets.size();
        return sink_.write(octets);
    }
    std::uint64_t count() const { return count_; }

private:
    BodySink& sink_;
    std::uint64_t count_ = 0;
};

json::array folder_properties() { return {"id", "name", "parentId", "role", "totalEmails"}; }

/// As many at once as the server gives.
Result<std::vector<Folder>> read_many_folders(Api& api) {
    const auto found = api.call({api.make("Mailbox/query")});
    if (!found) return found.error();
    if (found->too_large || !found->answers.front().error.empty())
        return to_error(found->answers.front().error, "the folders cannot be listed");
    const auto query = parse_query(found->answers.front().arguments);
    if (!query) return query.error();
    std::vector<Folder> all;
    for (std::size_t first = 0; first < query->ids.size();) {
        const auto count = std::min(api.get_batch(), query->ids.size() - first);
        json::array ids;
        for (auto i = first; i < first + count; ++i) ids.emplace_back(query->ids[i]);
        const auto some =
            api.call({api.make("Mailbox/get", {{"ids", std::move(ids)}, {"properties", folder_properties()}})});
        if (!some) return some.error();
        if (some->too_large && api.halve_gets()) continue;
        if (some->too_large || !some->answers.front().error.empty())
            return to_error("requestTooLarge", "the folders cannot be listed");
        auto folders = parse_folders(some->answers.front().arguments);
        if (!folders) return folders.error();
        std::ranges::move(*folders, std::back_inserter(all));
        first += count;
    }
    return all;
}

}  // namespace

JmapMailbox::JmapMailbox(std::shared_ptr<const JmapSettings> settings, std::unique_ptr<Api> api)
    : settings_(std::move(settings)),
      api_(std::move(api)),
      ahead_(api_->fiber(), api_->upstream(), [this](Fiber& fiber, const MessageInfo& message) {
          // fetch() asks for the blobs of many messages at once, in its own time.
          const auto blob = blobs_.find(message.id);
          if (blob == blobs_.end()) return http::ReadAhead::Read();
          auto other = api_->ahead(fiber);
          if (!other) return http::ReadAhead::Read();
          return http::ReadAhead::Read(
              [other = std::move(other), what = blob->second](BodySink& sink) { return download(*other, what, sink); });
      }) {}

Result<std::unique_ptr<Mailbox>> JmapMailbox::open(std::shared_ptr<const JmapSettings> settings,
                                                   std::unique_ptr<Api> api, const std::string& account) {
    if (auto status = api->open(settings->discovery, account); !status) return status.error();
    return std::unique_ptr<Mailbox>(new JmapMailbox(std::move(settings), std::move(api)));
}

// In one request with what has changed since the last look, as nearly always nothing has.
Result<std::vector<Answer>> JmapMailbox::open_folder(const KnownMailbox& known) {
    std::vector<Call> calls{api_->make("Mailbox/get", {{"ids", nullptr}, {"properties", folder_properties()}})};
    const auto state = parse_listing_state(known.state);
    const bool asks_changes = state && state->account == api_->account();
    if (asks_changes) calls.insert(calls.begin(), Look::changes_call(*api_, state->email_state));
    auto reply = api_->call(calls);
    if (!reply) return reply.error();
    const auto& answer = reply->answers.back();
    const bool too_many = answer.error == "requestTooLarge";
    if (!too_many && !answer.error.empty()) return to_error(answer.error, "the folders cannot be listed");
    auto folders = too_many ? read_many_folders(*api_) : parse_folders(answer.arguments);
    if (!folders) return folders.error();
    folders_ = std::move(*folders);
    const auto* folder = find_folder(folders_, settings_->folder);
    if (!folder) {
        // An account that never had mail may have no inbox yet.
        const auto code = folders_.empty() ? Errc::temporary : Errc::permanent;
        return Error{code, "the account has no folder of the route's name", settings_->folder};
    }
    folder_ = folder->id;
    return asks_changes && !too_many ? std::move(reply->answers) : std::vector<Answer>();
}

Result<Listing> JmapMailbox::list(KnownMailbox known) {
    auto changes = open_folder(known);
    if (!changes) return changes.error();
    Look look(*api_, folder_, [&](const Email& email) {
        if (!email.blob.empty() && blobs_.size() < most_blobs) blobs_[email.id] = {email.blob, email.size.value_or(0)};
    });
    auto listing = look.list(std::move(known), std::move(*changes));
    if (!listing) return listing;
    ids_.reserve(listing->messages.size());
    for (const auto& each : listing->messages) ids_.push_back(each.id);
    return listing;
}

Result<std::vector<bool>> JmapMailbox::unread(const std::vector<MessageInfo>& messages) {
    std::vector<std::string> ids;
    ids.reserve(messages.size());
    for (const auto& each : messages) ids.push_back(each.id);
    const auto emails = api_->emails(ids, {"id", "keywords"});
    if (!emails) return emails.error();
    std::unordered_set<std::string_view> unseen;
    for (const auto& each : emails->list)
        if (!each.seen) unseen.insert(each.id);
    std::vector<bool> unread;
    unread.reserve(messages.size());
    for (const auto& each : messages) unread.push_back(unseen.contains(each.id));
    return unread;
}

// Of this message and of those that the client probably asks for next, in one question.
Status JmapMailbox::find_blobs(const std::string& first) {
    std::size_t place = cursor_;
    for (std::size_t steps = 0; steps < ids_.size(); ++steps, ++place) {
        if (place >= ids_.size()) place = 0;
        if (ids_[place] == first) break;
    }
    std::vector<std::string> wanted{first};
    const auto most = std::min(blobs_a_question, api_->get_batch());
    if (place < ids_.size() && ids_[place] == first) {
        cursor_ = place;
        for (++place; place < ids_.size() && wanted.size() < most; ++place) wanted.push_back(ids_[place]);
    }
    const auto emails = api_->emails(wanted, {"id", "blobId", "size", "mailboxIds"});
    if (!emails) return emails.error();
    if (blobs_.size() + emails->list.size() > most_blobs) blobs_.clear();
    blobs_.erase(first);
    for (const auto& each : emails->list)
        if (each.is_in(folder_) && !each.blob.empty()) blobs_[each.id] = {each.blob, each.size.value_or(0)};
    return {};
}

Result<JmapMailbox::Blob> JmapMailbox::blob_of(const std::string& id) {
    if (taken_out_.contains(id)) return gone();
    auto found = blobs_.find(id);
    if (found == blobs_.end()) {
        if (auto status = find_blobs(id); !status) return status.error();
        found = blobs_.find(id);
        if (found == blobs_.end()) return gone();
    }
    return found->second;
}

Status JmapMailbox::download(Api& api, const Blob& blob, BodySink& sink) {
    CountingSink counting(sink);
    const auto response = api.download(blob.id, counting);
    if (!response) return response.error();
    if (!response->ok()) {
        auto error = Api::fault(*response, cannot_fetch);
        if (response->status == 404 || response->status == 410) error.code = Errc::gone;
        return error;
    }
    if (blob.size > 0 && counting.count() != blob.size)
        return Error{Errc::temporary, "the mail server does not give the whole message",
                     std::to_string(counting.count()) + " octets instead of " + std::to_string(blob.size)};
    return {};
}

Status JmapMailbox::ask_for(const MessageInfo& message, BodySink& sink) {
    for (bool again = false;; again = true) {
        const auto blob = blob_of(message.id);
        if (!blob) return blob.error();
        auto status = download(*api_, *blob, sink);
        if (status || status.error().code != Errc::gone) return status;
        if (again) return Error{Errc::temporary, status.error().text, status.error().detail};
        // Gone, or under another name now.
        blobs_.erase(message.id);
    }
}

Status JmapMailbox::fetch(const MessageInfo& message, BodySink& sink) {
    if (taken_out_.contains(message.id)) return gone();
    return ahead_.fetch(message, sink, [&](BodySink& to) { return ask_for(message, to); });
}

}  // namespace popgate::jmap
