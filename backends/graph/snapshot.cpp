#include "backends/graph/listing.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace popgate::graph {

namespace {

// Of a message whose size the server does not tell. Clients pass over a message of 0 octets.
constexpr std::uint64_t usual_octets = 4096;

}  // namespace

Snapshot::Snapshot(std::vector<MessageInfo> known)
    : messages_(std::move(known)), places_(messages_.size(), Place::unseen), unseen_(messages_.size()) {}

void Snapshot::begin_anew() {
    for (auto& place : places_)
        if (place == Place::seen) place = Place::unseen;
    unseen_ += std::exchange(seen_, 0);
    has_changed_ = true;
}

void Snapshot::move_to(std::size_t index, Place place) {
    auto& now = places_[index];
    unseen_ -= now == Place::unseen;
    seen_ -= now == Place::seen;
    now = place;
    seen_ += place == Place::seen;
}

void Snapshot::apply(const Item& item) {
    if (by_id_.empty())
        for (std::size_t i = 0; i < messages_.size(); ++i) by_id_.emplace(messages_[i].id, i);
    auto found = by_id_.find(item.id);
    has_changed_ = true;
    if (item.removed) {
        if (found != by_id_.end()) move_to(found->second, Place::removed);
        return;
    }
    if (found == by_id_.end()) {
        found = by_id_.emplace(item.id, messages_.size()).first;
        messages_.push_back({.id = item.id, .octets = usual_octets});
        places_.push_back(Place::removed);
    }
    move_to(found->second, Place::seen);
    auto& message = messages_[found->second];
    if (item.arrival) message.arrival = *item.arrival;
    if (item.octets && !message.octets_are_exact) message.octets = *item.octets;
}

std::vector<MessageInfo> Snapshot::take(bool with_unseen) {
    auto messages = std::move(messages_);
    if (!has_changed_ && with_unseen) return messages;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < messages.size(); ++i) {
        if (places_[i] == Place::removed || (places_[i] == Place::unseen && !with_unseen)) continue;
        if (kept != i) messages[kept] = std::move(messages[i]);
        ++kept;
    }
    messages.resize(kept);
    std::ranges::sort(messages, {}, [](const MessageInfo& each) { return std::tie(each.arrival, each.id); });
    return messages;
}

}  // namespace popgate::graph
