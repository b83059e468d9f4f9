#include "backends/gmail/details.hpp"

#include "backends/gmail/batch.hpp"
#include "gateway/observe/metrics.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <random>
#include <utility>

namespace popgate::gmail {

using namespace std::chrono_literals;

namespace {

// Google allows 100 and advises 50; 100 at once are refused as too many concurrent requests.
constexpr std::size_t first_size = 25;
constexpr std::size_t most_size = 50;
constexpr std::size_t growth = 5;
constexpr unsigned most_refusals = 6;
constexpr auto first_rest = 500ms;
// A message whose details cannot be had must not keep the others from their reader; more are a server in trouble.
constexpr unsigned most_errors = 4;
constexpr std::size_t most_unanswered = 10;

constexpr std::string_view unlisted = "the mailbox cannot be listed";

/// Not in step with other sessions of the account.
Clock::duration rest_after(unsigned refusals) {
    thread_local std::minstd_rand random{std::random_device{}()};
    return first_rest * (1u << std::min(refusals, 6u)) + std::chrono::milliseconds(random() % 250);
}

}  // namespace

DetailReader::DetailReader(Api& api, std::uint32_t most_units)
    : api_(api),
      most_(std::clamp<std::size_t>(most_units / cost::get, 1, most_size)),
      size_(std::min(most_, first_size)) {}

Status DetailReader::read(std::vector<std::string>& ids, std::optional<Deadline> until, std::vector<Detail>& found) {
    unanswered_.clear();
    Status status;
    while (status && !ids.empty() && (!until || Clock::now() < *until)) {
        status = read_batch(ids, found);
        if (status && unanswered_.size() > most_unanswered)
            status = Error{Errc::temporary, std::string(unlisted), "batch: errors for too many messages"};
    }
    if (!status) std::ranges::move(std::exchange(unanswered_, {}), std::back_inserter(ids));
    return status;
}

Status DetailReader::read_batch(std::vector<std::string>& ids, std::vector<Detail>& found) {
    const auto first = ids.size() - std::min(size_, ids.size());
    const std::vector<std::string> asked(ids.begin() + static_cast<std::ptrdiff_t>(first), ids.end());
    const auto response = api_.ask_details(asked);
    if (!response) return response.error();
    if (!response->ok()) return api_.fault(*response, unlisted);
    const auto answers = parse_batch(response->header("Content-Type"), response->body, asked.size());
    if (!answers) return answers.error();

    std::vector<std::string> left;  // to be asked again
    bool is_throttled = false;
    for (std::size_t i = 0; i < asked.size(); ++i) {
        const auto& answer = answers->at(i);
        const int status = answer ? answer->status : 0;
        if (status == 404) continue;
        if (status == 200) {
            auto detail = parse_detail(answer->body);
            if (!detail) return detail.error();
            if (detail->id != asked[i])
                return Error{Errc::temporary, std::string(unlisted), "another message's details"};
            found.push_back(std::move(*detail));
            continue;
        }
        const auto reason = answer ? reason_of(answer->body) : std::string();
        if (status == 429 || (status == 403 && is_rate_limit(reason)))
            is_throttled = true;
        else if (status != 0 && status < 500)
            return Error{status == 403 ? Errc::permanent : Errc::temporary, std::string(unlisted),
                         "batch: " + std::to_string(status) + " " + reason};
        else if (++errors_[asked[i]] >= most_errors) {
            unanswered_.push_back(asked[i]);
            continue;
        }
        left.push_back(asked[i]);
    }
    ids.resize(first);
    std::ranges::move(left, std::back_inserter(ids));
    if (left.empty()) {
        refused_ = 0;
        size_ = std::min(most_, size_ + growth);
        return {};
    }
    if (is_throttled) {
        metrics::upstream_throttled.add(metrics::BackendKind::gmail);
        size_ = std::max<std::size_t>(1, size_ / 2);
    }
    refused_ = left.size() == asked.size() ? refused_ + 1 : 0;
    if (refused_ >= most_refusals)
        return Error{Errc::temporary, "the mail server is asked too much", "batch"};
    // The limiter holds the next request of whatever session of this account.
    api_.rest(rest_after(is_throttled ? refused_ : 0));
    return {};
}

}  // namespace popgate::gmail
