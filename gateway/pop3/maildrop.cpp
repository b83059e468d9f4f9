#include "gateway/pop3/maildrop.hpp"

#include <algorithm>

namespace popgate::pop3 {

Maildrop::Maildrop(std::vector<MessageInfo> messages, UniqueId unique_id, bool only_retrieved,
                   const std::vector<bool>& retrieved_before)
    : messages_(std::move(messages)),
      states_(messages_.size()),
      unique_id_(std::move(unique_id)),
      only_retrieved_(only_retrieved) {
    for (std::size_t i = 0; i < std::min(states_.size(), retrieved_before.size()); ++i)
        states_[i].given_whole = retrieved_before[i];
    for (const auto& message : messages_) octets_ += message.octets;
    octets_left_ = octets_;
}

void Maildrop::mark(std::uint64_t number) {
    auto& mark = states_[number - 1].marked;
    if (mark) return;
    mark = true;
    ++marked_count_;
    octets_left_ -= message(number).octets;
}

void Maildrop::unmark_all() {
    for (auto& each : states_) each.marked = false;
    marked_count_ = 0;
    octets_left_ = octets_;
}

std::vector<MessageInfo> Maildrop::marked() const {
    std::vector<MessageInfo> chosen;
    for (std::size_t i = 0; i < messages_.size(); ++i)
        if (states_[i].marked) chosen.push_back(messages_[i]);
    return chosen;
}

std::vector<MessageInfo> Maildrop::retrieved() const {
    std::vector<MessageInfo> chosen;
    for (std::size_t i = 0; i < messages_.size(); ++i)
        if (states_[i].retrieved && !states_[i].marked) chosen.push_back(messages_[i]);
    return chosen;
}

}  // namespace popgate::pop3
