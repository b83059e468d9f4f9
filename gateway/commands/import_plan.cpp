#include "gateway/commands/import_plan.hpp"

#include "gateway/commands/pop3_reply.hpp"

#include <set>
#include <string_view>
#include <utility>

namespace popgate::commands {

namespace {

std::vector<Fitness> judge(const std::vector<Pop3Message>& messages) {
    std::map<std::string_view, std::size_t> uses;
    for (const auto& message : messages) ++uses[message.unique_id];
    std::vector<Fitness> fitness;
    fitness.reserve(messages.size());
    for (const auto& message : messages) {
        if (!is_valid_unique_id(message.unique_id))
            fitness.push_back(Fitness::invalid);
        else
            fitness.push_back(uses[message.unique_id] > 1 ? Fitness::given_twice : Fitness::fit);
    }
    return fitness;
}

/// Adds what an earlier import has given to messages that this one leaves alone, unless the id is now another's.
void keep_earlier(const StoredMailbox& stored, const std::string& generation, ImportPlan& plan) {
    const bool still_holds = stored.imported_generation == generation;
    std::set<std::string_view> given;
    for (const auto& [id, unique_id] : plan.unique_ids) given.insert(unique_id);
    std::map<std::string, std::string, std::less<>> kept;
    for (const auto& [id, unique_id] : stored.imported) {
        if (still_holds && plan.unique_ids.contains(id)) continue;
        if (still_holds && !given.contains(unique_id))
            kept.emplace(id, unique_id);
        else
            ++plan.dropped;
    }
    plan.kept = kept.size();
    plan.unique_ids.merge(kept);
}

}  // namespace

ImportPlan plan_import(const OldMaildrop& old_maildrop, const NewMailbox& new_mailbox, const StoredMailbox& stored) {
    ImportPlan plan;
    plan.matches = match_messages(old_maildrop.contents, new_mailbox.contents);
    plan.fitness = judge(old_maildrop.messages);
    std::vector<bool> old_is_matched(old_maildrop.messages.size()), new_is_matched(new_mailbox.contents.size());
    for (const auto& match : plan.matches) {
        old_is_matched[match.old_index] = new_is_matched[match.new_index] = true;
        ++plan.by_rule.at(static_cast<std::size_t>(match.rule));
        if (plan.fitness[match.old_index] != Fitness::fit) continue;
        plan.unique_ids.emplace(new_mailbox.listing.messages[match.new_index].id,
                                old_maildrop.messages[match.old_index].unique_id);
    }
    for (std::size_t i = 0; i < old_is_matched.size(); ++i)
        if (!old_is_matched[i]) plan.unmatched_old.push_back(i);
    for (std::size_t i = 0; i < new_is_matched.size(); ++i)
        if (!new_is_matched[i]) plan.unmatched_new.push_back(i);
    plan.imported = plan.unique_ids.size();
    keep_earlier(stored, new_mailbox.listing.generation, plan);
    return plan;
}

}  // namespace popgate::commands
