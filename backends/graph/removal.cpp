#include "backends/graph/removal.hpp"

#include "gateway/net/fiber.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <span>
#include <utility>

namespace popgate::graph {

using namespace std::chrono_literals;

namespace {

constexpr int most_faults = 2;                           // of one message: tried again once
constexpr std::chrono::milliseconds shortest_wait = 1s;  // after a 429

bool is_done(int status) { return status >= 200 && status < 300; }
// Not done, or nobody knows: an accident within the batch, or no answer.
bool is_accident(int status) { return status == 0 || status == 409 || status == 412 || status == 424 || status >= 500; }

std::string detail_of(const InnerAnswer& answer) {
    return answer.status == 0 ? "a batch without this answer" : std::to_string(answer.status) + " " + answer.code;
}

Error asked_too_much() {
    return {Errc::temporary, "the mail server is asked too much", "429 within a batch"};
}

/// What holds up a batch before its next round.
struct Obstacles {
    std::chrono::milliseconds wait{};
    bool is_token_refused = false;

    void note(const InnerAnswer& answer) {
        if (answer.status == 429) {
            const auto told = answer.wait ? std::chrono::milliseconds(*answer.wait) : shortest_wait;
            wait = std::max({wait, told, shortest_wait});
        }
        is_token_refused |= answer.status == 401;
    }
    /// So that the next round may fare better.
    void overcome(Api& api) const {
        if (wait > 0ms) api.back_off(wait);
        // A token that is refused within a batch is renewed by the first request that is refused as a whole.
        if (is_token_refused) (void)api.get(api.url("/mailFolders/inbox?$select=id"));
    }
};

/// Removes at most batch_size messages.
class Batch {
public:
    Batch(Api& api, const std::string& folder_id, const RemovalAction& action, std::span<const MessageInfo> messages,
          std::span<Removal> outcomes)
        : api_(api),
          folder_id_(folder_id),
          action_(action),
          messages_(messages),
          outcomes_(outcomes),
          tries_(messages.size()) {}

    Status run() {
        std::vector<std::size_t> left(messages_.size());
        for (std::size_t i = 0; i < left.size(); ++i) left[i] = i;
        const auto patience = Clock::now() + api_.patience();
        while (!left.empty()) {
            if (Clock::now() > patience) return asked_too_much();
            Obstacles obstacles;
            auto here = find(std::exchange(left, {}), left, obstacles);
            if (!here) return here.error();
            act(*here, left, obstacles);
            std::ranges::sort(left);
            if (!left.empty()) obstacles.overcome(api_);
        }
        return status_;
    }

private:
    struct Try {
        int faults = 0;
        bool was_sent = false;
        bool was_unknown_there = false;  // 404, though it was in the folder a moment before
    };

    std::string path_of(std::size_t index) const {
        return api_.inner_url("/messages/" + http::encode_component(messages_[index].id));
    }

    /// Those that are in the folder. `later`: of which that could not be told.
    Result<std::vector<std::size_t>> find(const std::vector<std::size_t>& wanted, std::vector<std::size_t>& later,
                                          Obstacles& obstacles) {
        std::vector<InnerRequest> requests;
        for (const auto index : wanted) requests.push_back({"GET", path_of(index) + "?$select=id,parentFolderId", {}});
        const auto answers = api_.batch(requests);
        if (!answers) return answers.error();
        std::vector<std::size_t> here;
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            const auto index = wanted[i];
            const auto& answer = (*answers)[i];
            if (answer.status == 404 || (answer.status == 200 && !is_here(answer))) {
                outcomes_[index] = tries_[index].was_sent ? Removal::removed : Removal::gone;
            } else if (answer.status == 200 && tries_[index].was_unknown_there) {
                outcomes_[index] = Removal::failed;
                status_ = Error{Errc::permanent, std::string(action_.not_offered), "404 for a message that is there"};
            } else if (answer.status == 200) {
                outcomes_[index] = Removal::failed;
                here.push_back(index);
            } else {
                try_later(index, answer, later, obstacles);
            }
        }
        return here;
    }

    // An answer without the folder cannot speak against it.
    bool is_here(const InnerAnswer& answer) const {
        return answer.parent_folder.empty() || answer.parent_folder == folder_id_;
    }

    void act(const std::vector<std::size_t>& here, std::vector<std::size_t>& later, Obstacles& obstacles) {
        if (here.empty()) return;
        std::vector<InnerRequest> requests;
        for (const auto index : here)
            requests.push_back({action_.method, path_of(index) + action_.suffix, action_.body});
        const auto answers = api_.batch(requests);
        const auto lost = answers ? std::nullopt : std::optional(answers.error());
        for (std::size_t i = 0; i < here.size(); ++i) {
            const auto index = here[i];
            const auto answer = answers ? (*answers)[i] : InnerAnswer{};
            auto& tried = tries_[index];
            if (is_done(answer.status)) {
                outcomes_[index] = Removal::removed;
            } else if (answer.status == 404) {
                tried.was_unknown_there = true;
                later.push_back(index);
            } else {
                if (is_accident(answer.status) && (!lost || lost->code == Errc::temporary)) {
                    tried.was_sent = true;
                    outcomes_[index] = Removal::unknown;
                }
                try_later(index, answer, later, obstacles, lost);
            }
        }
    }

    /// Unless it was refused for good. `lost`: why the whole batch has no answer, if so.
    void try_later(std::size_t index, const InnerAnswer& answer, std::vector<std::size_t>& later, Obstacles& obstacles,
                   const std::optional<Error>& lost = {}) {
        obstacles.note(answer);
        const bool may_pass = is_accident(answer.status) || answer.status == 401;
        if (answer.status == 429 || (may_pass && ++tries_[index].faults < most_faults))
            later.push_back(index);
        else if (lost)
            status_ = *lost;
        else if (may_pass)
            status_ = Error{Errc::temporary, "the mail server could not remove some messages", detail_of(answer)};
        else if (answer.status == 403)
            status_ = Error{Errc::permanent, "popgate may not remove messages from this mailbox", detail_of(answer)};
        else
            status_ = Error{Errc::permanent, std::string(action_.not_offered), detail_of(answer)};
    }

    Api& api_;
    const std::string& folder_id_;
    const RemovalAction& action_;
    std::span<const MessageInfo> messages_;
    std::span<Removal> outcomes_;
    std::vector<Try> tries_;
    Status status_;
};

}  // namespace

Mailbox::RemovalReport remove_messages(Api& api, const std::string& folder_id, const std::vector<MessageInfo>& messages,
                                       const RemovalAction& action) {
    Mailbox::RemovalReport report{std::vector(messages.size(), Removal::failed), {}};
    const std::span all(messages);
    const std::span outcomes(report.outcomes);
    for (std::size_t begin = 0; begin < all.size() && report.status; begin += batch_size) {
        const auto count = std::min(batch_size, all.size() - begin);
        report.status = Batch(api, folder_id, action, all.subspan(begin, count), outcomes.subspan(begin, count)).run();
    }
    return report;
}

Status mark_as_read(Api& api, const std::vector<MessageInfo>& messages) {
    std::vector<std::string> left;
    for (const auto& each : messages) left.push_back(each.id);
    auto progress = Clock::now();
    for (int faults = 0; !left.empty();) {
        const auto count = std::min(batch_size, left.size());
        const std::vector<std::string> now(left.end() - static_cast<std::ptrdiff_t>(count), left.end());
        left.resize(left.size() - count);
        std::vector<InnerRequest> requests;
        for (const auto& id : now)
            requests.push_back(
                {"PATCH", api.inner_url("/messages/" + http::encode_component(id)), R"({"isRead":true})"});
        const auto answers = api.batch(requests);
        if (!answers) return answers.error();
        Obstacles obstacles;
        bool has_failed = false;
        for (std::size_t i = 0; i < now.size(); ++i) {
            const auto& answer = (*answers)[i];
            if (is_done(answer.status) || answer.status == 404) {
                progress = Clock::now();
                continue;
            }
            obstacles.note(answer);
            if (!is_accident(answer.status) && answer.status != 429 && answer.status != 401)
                return Error{Errc::permanent, "popgate may not mark messages of this mailbox as read",
                             detail_of(answer)};
            has_failed |= answer.status != 429;
            left.push_back(now[i]);
        }
        if (has_failed && ++faults > most_faults)
            return Error{Errc::temporary, "the mail server could not mark some messages as read", {}};
        if (Clock::now() > progress + api.patience()) return asked_too_much();
        obstacles.overcome(api);
    }
    return {};
}

}  // namespace popgate::graph
