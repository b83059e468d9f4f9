#include "backends/rest/rest_mailbox.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace popgate::rest {

namespace {

constexpr std::size_t largest_batch = 100;

class CountingSink final : public BodySink {
public:
    explicit CountingSink(BodySink& sink) : sink_(sink) {}
    bool write(std::string_view octets) noexcept override {
        octets_ += octets.size();
        return sink_.write(octets);
    }
    std::uint64_t octets() const { return octets_; }

private:
    BodySink& sink_;
    std::uint64_t octets_ = 0;
};

/// A 2xx answer that says in its body that nothing was done.
bool denies(const http::Response& response) {
    // A page of a proxy or of a server in trouble.
    if (response.body.find_first_not_of(" \t\r\n") == response.body.find('<') &&
        response.body.find('<') != std::string::npos)
        return true;
    if (!response.is_json()) return false;
    boost::json::error_code error;
    const auto body = boost::json::parse(response.body, error);
    if (error || !body.is_object()) return false;
    const auto* success = body.as_object().if_contains("success");
    const auto* trouble = body.as_object().if_contains("error");
    return (success && *success == false) || (trouble && *trouble != nullptr && *trouble != false && *trouble != "");
}

Status fetch_raw(Api& api, const std::string& folder_id, const MessageInfo& message, BodySink& sink) {
    CountingSink counting(sink);
    const auto answered =
        api.stream(api.description().raw, {{"folder", folder_id}, {"id", message.id}}, message.octets == 0, counting);
    if (!answered) return answered.error();
    if (answered->status != 200) {
        const auto error = api.failure(*answered, "the message cannot be fetched");
        if (api.is_gone(*answered)) return Error{Errc::gone, "the message is gone", error.detail};
        if (error.code == Errc::gone) return Error{Errc::temporary, error.text, error.detail};
        return error;
    }
    // Sizes that are not exact are wrong by an octet a line at most: of nothing they cannot be.
    const bool lacks_all = counting.octets() == 0 && message.octets != 0;
    if (lacks_all || (api.description().sizes_are_exact && counting.octets() != message.octets))
        return Error{Errc::temporary, "the mail server does not answer as it should",
                     "a message of " + std::to_string(counting.octets()) + " octets where there should be " +
                         std::to_string(message.octets)};
    return {};
}

}  // namespace

RestMailbox::RestMailbox(std::unique_ptr<Api> api, std::string folder_id, std::array<std::string, 2> targets,
                         std::optional<Page> first)
    : api_(std::move(api)),
      folder_id_(std::move(folder_id)),
      targets_(std::move(targets)),
      first_(std::move(first)),
      ahead_(api_->fiber(), api_->upstream(), [this](Fiber& fiber, const MessageInfo& message) {
          auto other = api_->ahead(fiber);
          if (!other) return http::ReadAhead::Read();
          return http::ReadAhead::Read([other = std::move(other), folder = folder_id_, message](BodySink& sink) {
              return fetch_raw(*other, folder, message, sink);
          });
      }) {}

Result<Listing> RestMailbox::list(KnownMailbox) {
    auto items = read_list(*api_, folder_id_, std::exchange(first_, {}));
    if (!items) return items.error();
    Listing listing;
    if (api_->description().ids_are_of_folder) listing.generation = folder_id_;
    listing.ids_may_return = api_->description().ids_may_return;
    seen_.clear();
    for (auto& item : *items) {
        if (item.seen) seen_.insert(item.message.id);
        listing.messages.push_back(std::move(item.message));
    }
    return listing;
}

std::string RestMailbox::unique_id(const MessageInfo& message) const {
    return api_->description().ids_are_of_folder ? folder_id_ + "-" + message.id : message.id;
}

Result<std::vector<bool>> RestMailbox::unread(const std::vector<MessageInfo>& messages) {
    std::vector<bool> unread;
    unread.reserve(messages.size());
    for (const auto& message : messages) unread.push_back(!seen_.contains(message.id));
    return unread;
}

Status RestMailbox::fetch(const MessageInfo& message, BodySink& sink) {
    return ahead_.fetch(message, sink, [&](BodySink& to) { return fetch_raw(*api_, folder_id_, message, to); });
}

void RestMailbox::expect(const std::vector<const MessageInfo*>& next) {
    if (!api_->description().raw_marks_seen) ahead_.expect(next);
}

Status RestMailbox::fetch_top(const MessageInfo& message, BodySink& sink) {
    return fetch_raw(*api_, folder_id_, message, sink);
}

Mailbox::RemovalReport RestMailbox::remove(const std::vector<MessageInfo>& messages) {
    return for_each(api_->description().remove, messages, {}, "messages cannot be removed");
}

Mailbox::RemovalReport RestMailbox::move(const std::vector<MessageInfo>& messages, SpecialFolder target) {
    const auto& id = targets_[target == SpecialFolder::trash ? 0 : 1];
    const auto refuse = [&](const char* why) {
        return RemovalReport{std::vector(messages.size(), Removal::failed), Error{Errc::permanent, why, {}}};
    };
    if (messages.empty()) return {};
    if (api_->description().move.url.empty() || id.empty()) return refuse("there is no such folder");
    if (id == folder_id_) return refuse("the messages are in the folder already that they would be moved to");
    return for_each(api_->description().move, messages, id, "messages cannot be moved");
}

bool RestMailbox::is_there(const MessageInfo& message) {
    class Refusing final : public BodySink {
        bool write(std::string_view) noexcept override { return false; }
    } sink;
    const auto fetched = fetch_raw(*api_, folder_id_, message, sink);
    return fetched || fetched.error().code != Errc::gone;
}

Mailbox::RemovalReport RestMailbox::for_each(const Call& call, const std::vector<MessageInfo>& messages,
                                             const std::string& target, std::string_view what) {
    RemovalReport report{std::vector(messages.size(), Removal::failed), {}};
    const std::size_t batch = call.body.find("{ids}") == std::string::npos ? 1 : largest_batch;
    for (std::size_t i = 0; i < messages.size(); i += batch) {
        const auto end = std::min(i + batch, messages.size());
        std::vector<std::string> ids;
        for (auto j = i; j < end; ++j) ids.push_back(messages[j].id);
        const auto answered = api_->call(call, {{"folder", folder_id_}}, ids, target);
        auto outcome = Removal::failed;
        bool goes_on = true;
        if (!answered) {
            outcome = answered.error().code == Errc::temporary ? Removal::unknown : Removal::failed;
            report.status = answered.error();
            goes_on = false;
        } else if (answered->ok() && !denies(*answered)) {
            outcome = Removal::removed;
        } else if (ids.size() == 1 && api_->is_gone(*answered) && (target.empty() || !is_there(messages[i]))) {
            outcome = Removal::gone;
        } else {
            auto error = api_->failure(*answered, what);
            if (answered->ok() || error.code == Errc::gone)
                error = {Errc::temporary, std::string(what), "the server says that it has not done so"};
            goes_on = error.code == Errc::permanent;
            report.status = std::move(error);
        }
        std::fill(report.outcomes.begin() + static_cast<std::ptrdiff_t>(i),
                  report.outcomes.begin() + static_cast<std::ptrdiff_t>(end), outcome);
        if (!goes_on) break;  // the others have not been asked for: they are still there
    }
    return report;
}

std::size_t RestMailbox::removal_batch() const { return largest_batch; }

Status RestMailbox::mark_seen(const std::vector<MessageInfo>& messages) {
    const auto& call = api_->description().mark_seen;
    if (call.url.empty() || messages.empty()) return {};
    return for_each(call, messages, {}, "messages cannot be marked as read").status;
}

Status RestMailbox::keep_alive() { return {}; }  // there is no session to be kept

void RestMailbox::close() {}

}  // namespace popgate::rest
