#include "gateway/commands/import_report.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <ostream>

namespace popgate::commands {

namespace json = boost::json;

namespace {

constexpr std::string_view why(Fitness fitness) { return fitness == Fitness::invalid ? "invalid" : "given twice"; }

json::object with_looks(json::object document, const HeaderSummary& header) {
    document["date"] = json_string(header.date);
    document["from"] = json_string(header.from);
    document["subject"] = json_string(header.subject);
    return document;
}

json::object as_json(const ImportRequest& request, const OldMaildrop& old_maildrop, const NewMailbox& new_mailbox,
                     const ImportPlan& plan, bool written) {
    json::object rules;
    for (std::size_t i = 0; i < match_rules; ++i) rules[name_of(static_cast<MatchRule>(i))] = plan.by_rule[i];
    json::array matches, unusable, unmatched_old, unmatched_new;
    for (const auto& match : plan.matches)
        matches.push_back(json::object{{"number", old_maildrop.messages[match.old_index].number},
                                       {"unique_id", json_string(old_maildrop.messages[match.old_index].unique_id)},
                                       {"id", json_string(new_mailbox.listing.messages[match.new_index].id)},
                                       {"rule", name_of(match.rule)}});
    for (std::size_t i = 0; i < plan.fitness.size(); ++i) {
        if (plan.fitness[i] == Fitness::fit) continue;
        unusable.push_back(json::object{{"number", old_maildrop.messages[i].number},
                                        {"unique_id", json_string(old_maildrop.messages[i].unique_id)},
                                        {"why", why(plan.fitness[i])}});
    }
    for (const auto i : plan.unmatched_old)
        unmatched_old.push_back(with_looks({{"number", old_maildrop.messages[i].number},
                                            {"unique_id", json_string(old_maildrop.messages[i].unique_id)}},
                                           old_maildrop.contents[i].header));
    for (const auto i : plan.unmatched_new)
        unmatched_new.push_back(
            with_looks({{"id", json_string(new_mailbox.listing.messages[i].id)}}, new_mailbox.contents[i].header));
    return {{"user", json_string(request.mailbox.user)},
            {"mailbox", json_string(request.mailbox.key)},
            {"generation", json_string(new_mailbox.listing.generation)},
            {"from", json_string(request.from)},
            {"old_user", json_string(request.old_user)},
            {"dry_run", request.dry_run},
            {"written", written},
            {"complete", plan.complete()},
            {"old_messages", old_maildrop.messages.size()},
            {"new_messages", new_mailbox.listing.messages.size()},
            {"matched", plan.matches.size()},
            {"matched_by", std::move(rules)},
            {"imported", plan.imported},
            {"kept", plan.kept},
            {"dropped", plan.dropped},
            {"matches", std::move(matches)},
            {"unusable", std::move(unusable)},
            {"unmatched_old", std::move(unmatched_old)},
            {"unmatched_new", std::move(unmatched_new)}};
}

void print_unusable(const OldMaildrop& old_maildrop, const ImportPlan& plan, std::ostream& out) {
    Table table({">number", "unique-id", "why"});
    bool any = false;
    for (std::size_t i = 0; i < plan.fitness.size(); ++i) {
        if (plan.fitness[i] == Fitness::fit) continue;
        any = true;
        const auto& message = old_maildrop.messages[i];
        table.add({std::to_string(message.number), plain(message.unique_id), std::string(why(plan.fitness[i]))});
    }
    if (!any) return;
    out << "\nunique-ids of the old server that cannot be used:\n";
    table.print(out);
}

void print_unmatched(const OldMaildrop& old_maildrop, const NewMailbox& new_mailbox, const ImportPlan& plan,
                     std::ostream& out) {
    if (!plan.unmatched_old.empty()) {
        out << "\nonly at the old server:\n";
        Table table({">number", "unique-id", "date", "from", "subject"});
        for (const auto i : plan.unmatched_old) {
            const auto& header = old_maildrop.contents[i].header;
            table.add({std::to_string(old_maildrop.messages[i].number), plain(old_maildrop.messages[i].unique_id),
                       plain(header.date), plain(header.from), plain(header.subject)});
        }
        table.print(out);
    }
    if (!plan.unmatched_new.empty()) {
        out << "\nonly in the new mailbox (native unique-ids):\n";
        Table table({"id", "date", "from", "subject"});
        for (const auto i : plan.unmatched_new) {
            const auto& header = new_mailbox.contents[i].header;
            table.add({plain(new_mailbox.listing.messages[i].id), plain(header.date), plain(header.from),
                       plain(header.subject)});
        }
        table.print(out);
    }
}

}  // namespace

void report_import(const ImportRequest& request, const OldMaildrop& old_maildrop, const NewMailbox& new_mailbox,
                   const ImportPlan& plan, bool written, Console& console) {
    if (console.json) return print_json(console.out, as_json(request, old_maildrop, new_mailbox, plan, written));
    std::ostream& out = console.out;
    out << old_maildrop.messages.size() << " messages at " << plain(request.from) << ", "
        << new_mailbox.listing.messages.size() << " in " << plain(request.mailbox.key) << '\n'
        << plan.matches.size() << " matched\n";
    for (std::size_t i = 0; i < match_rules; ++i)
        if (plan.by_rule[i] > 0) out << "  " << plan.by_rule[i] << " by " << name_of(static_cast<MatchRule>(i)) << '\n';
    out << plan.imported << " unique-ids " << (written ? "imported" : "would be imported; nothing is written");
    if (plan.kept > 0) out << ", " << plan.kept << " of an earlier import kept";
    if (plan.dropped > 0) out << ", " << plan.dropped << " of an earlier import dropped";
    out << '\n';
    print_unusable(old_maildrop, plan, out);
    print_unmatched(old_maildrop, new_mailbox, plan, out);
}

}  // namespace popgate::commands
