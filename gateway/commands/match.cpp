#include "gateway/commands/match.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

namespace popgate::commands {

namespace {

constexpr MatchRule all_rules[match_rules] = {MatchRule::headers, MatchRule::headers_without_trace,
                                              MatchRule::message_id_and_date, MatchRule::message_id, MatchRule::looks};

/// What must be equal under this rule; empty: it cannot be applied to this message.
std::string key_of(const HeaderSummary& header, MatchRule rule) {
    const bool has_id = !header.message_id.empty();
    switch (rule) {
        case MatchRule::headers: return header.block;
        case MatchRule::headers_without_trace: return header.block_without_trace;
        case MatchRule::message_id_and_date:
            return has_id && !header.date.empty() ? header.message_id + '\n' + header.date : std::string();
        case MatchRule::message_id: return header.message_id;
        case MatchRule::looks: return has_id ? std::string() : header.looks;
    }
    return {};
}

/// Messages that are equal under a rule, by index.
struct Equals {
    std::vector<std::size_t> olds;
    std::vector<std::size_t> news;
};

class Matcher {
public:
    Matcher(const std::vector<Comparable>& old_side, const std::vector<Comparable>& new_side)
        : old_side_(old_side),
          new_side_(new_side),
          old_is_matched_(old_side.size()),
          new_is_matched_(new_side.size()) {}

    void apply(MatchRule rule) {
        std::map<std::string, Equals> groups;
        for (std::size_t i = 0; i < old_side_.size(); ++i)
            if (!old_is_matched_[i]) groups[key_of(old_side_[i].header, rule)].olds.push_back(i);
        for (std::size_t i = 0; i < new_side_.size(); ++i)
            if (!new_is_matched_[i]) groups[key_of(new_side_[i].header, rule)].news.push_back(i);
        groups.erase(std::string());
        for (const auto& [key, group] : groups) {
            if (group.olds.empty() || group.news.empty()) continue;
            const bool as_many = group.olds.size() == group.news.size();
            match_by_size(group, rule, as_many);
            if (as_many) match_in_order(group, rule);
        }
    }

    std::vector<Match> take() {
        std::ranges::sort(matches_, {}, &Match::old_index);
        return std::move(matches_);
    }

private:
    // A size is no proof, but of two that are equal in all else the one with the same size is the likelier.
    void match_by_size(const Equals& group, MatchRule rule, bool twins_in_order) {
        if (group.olds.size() == 1 && group.news.size() == 1) return;
        std::map<std::uint64_t, Equals> sizes;
        for (const auto i : group.olds) sizes[old_side_[i].octets].olds.push_back(i);
        for (const auto i : group.news) sizes[new_side_[i].octets].news.push_back(i);
        sizes.erase(0);
        for (const auto& [octets, same] : sizes) {
            if (same.olds.size() != same.news.size() || (same.olds.size() > 1 && !twins_in_order)) continue;
            match_in_order(same, rule);
        }
    }

    void match_in_order(const Equals& group, MatchRule rule) {
        auto new_index = group.news.begin();
        for (const auto old_index : group.olds) {
            if (old_is_matched_[old_index]) continue;
            while (new_is_matched_[*new_index]) ++new_index;
            old_is_matched_[old_index] = new_is_matched_[*new_index] = true;
            matches_.push_back({old_index, *new_index, rule});
        }
    }

    const std::vector<Comparable>& old_side_;
    const std::vector<Comparable>& new_side_;
    std::vector<bool> old_is_matched_;
    std::vector<bool> new_is_matched_;
    std::vector<Match> matches_;
};

}  // namespace

std::string_view name_of(MatchRule rule) {
    switch (rule) {
        case MatchRule::headers: return "headers";
        case MatchRule::headers_without_trace: return "headers-without-trace";
        case MatchRule::message_id_and_date: return "message-id-and-date";
        case MatchRule::message_id: return "message-id";
        case MatchRule::looks: break;
    }
    return "looks";
}

std::vector<Match> match_messages(const std::vector<Comparable>& old_side, const std::vector<Comparable>& new_side) {
    Matcher matcher(old_side, new_side);
    for (const MatchRule rule : all_rules) matcher.apply(rule);
    return matcher.take();
}

}  // namespace popgate::commands
