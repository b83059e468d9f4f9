#include "gateway/commands/mailbox_commands.hpp"

#include "gateway/commands/progress.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <algorithm>
#include <chrono>
#include <ostream>

namespace popgate::commands {

namespace json = boost::json;

namespace {

// What is being written is waited for when the admin interrupts: it is nearly done.
constexpr std::chrono::seconds write_grace{30};

struct Counts {
    std::uint64_t octets = 0;
    std::uint64_t hidden = 0;
    std::uint64_t quarantined = 0;
    std::uint64_t exact = 0;
    std::uint64_t retrieved = 0;
};

Counts count(const StoredMailbox& stored) {
    Counts counts;
    for (const auto& message : stored.messages) {
        counts.octets += message.info.octets;
        counts.hidden += message.hidden;
        counts.quarantined += message.quarantined;
        counts.exact += message.info.octets_are_exact;
        counts.retrieved += message.retrieved != 0;
    }
    return counts;
}

/// The unique-id that is stored for a message; empty where it is derived from the remote id, which only an open
/// mailbox can do.
std::string_view stored_unique_id(const StoredMailbox& stored, const StoredMessage& message) {
    if (stored.imported_generation == stored.head.generation) {
        const auto imported = stored.imported.find(message.info.id);
        if (imported != stored.imported.end()) return imported->second;
    }
    return message.info.unique_id.str();
}

std::string_view state_of(const StoredMailbox& stored, const StoredMessage& message) {
    if (message.quarantined) return "quarantined";
    if (message.hidden) return "hidden";
    return message.number < stored.head.view_floor ? "out of view" : "shown";
}

json::value id_or_null(std::string_view id) { return id.empty() ? json::value(nullptr) : json_string(id); }

json::object as_json(const StoredMailbox& stored, const StoredMessage& message) {
    return {{"number", message.number},
            {"unique_id", id_or_null(stored_unique_id(stored, message))},
            {"id", json_string(message.info.id)},
            {"octets", message.info.octets},
            {"octets_are_exact", message.info.octets_are_exact},
            {"arrival", json_time(message.info.arrival)},
            {"first_seen", json_time(message.first_seen)},
            {"retrieved", json_time(message.retrieved)},
            {"failures", message.failures},
            {"state", state_of(stored, message)}};
}

json::object as_json(const std::string& key, const StoredMailbox& stored) {
    const Counts counts = count(stored);
    return {{"mailbox", json_string(key)},
            {"known", stored.head.version > 0},
            {"generation", json_string(stored.head.generation)},
            {"first_generation", json_string(stored.first_generation)},
            {"reconciled", json_time(std::max<std::int64_t>(stored.head.reconciled, 0))},
            {"still_to_come", -std::min<std::int64_t>(stored.head.reconciled, 0)},
            {"messages", stored.messages.size()},
            {"octets", counts.octets},
            {"exact_sizes", counts.exact},
            {"sizes_corrected", stored.head.sizes_corrected},
            {"retrieved", counts.retrieved},
            {"hidden", counts.hidden},
            {"quarantined", counts.quarantined},
            {"imported_unique_ids", stored.imported.size()},
            {"imported_generation", json_string(stored.imported_generation)}};
}

void print_summary(const NamedMailbox& mailbox, const StoredMailbox& stored, std::ostream& out) {
    const Counts counts = count(stored);
    const auto line = [&](const char* name, const std::string& value) { out << name << value << '\n'; };
    line("user             ", plain(mailbox.user));
    line("mailbox          ", plain(mailbox.key));
    if (stored.head.version == 0) line("                 ", "nothing is known of it yet");
    line("generation       ", plain(stored.head.generation));
    line("last full look   ", time_text(std::max<std::int64_t>(stored.head.reconciled, 0)));
    const auto to_come = -std::min<std::int64_t>(stored.head.reconciled, 0);
    line("messages         ", std::to_string(stored.messages.size()) +
                                  (to_come > 0 ? ", and " + std::to_string(to_come) + " still to be read" : ""));
    line("octets           ", std::to_string(counts.octets));
    line("exact sizes      ", std::to_string(counts.exact));
    line("sizes corrected  ", std::to_string(stored.head.sizes_corrected));
    line("retrieved        ", std::to_string(counts.retrieved));
    line("hidden           ", std::to_string(counts.hidden));
    line("quarantined      ", std::to_string(counts.quarantined));
    std::string imported = std::to_string(stored.imported.size());
    if (!stored.imported.empty() && stored.imported_generation != stored.head.generation)
        imported += ", of another generation (" + plain(stored.imported_generation) + ')';
    line("imported ids     ", imported);
}

void print_messages(const StoredMailbox& stored, std::ostream& out) {
    Table table({">number", "unique-id", "remote id", ">octets", "exact", "arrival", "first seen", "retrieved",
                 ">failures", "state"});
    for (const auto& message : stored.messages) {
        const auto unique_id = stored_unique_id(stored, message);
        table.add({std::to_string(message.number), unique_id.empty() ? "derived" : plain(unique_id),
                   plain(message.info.id), std::to_string(message.info.octets),
                   message.info.octets_are_exact ? "yes" : "no", time_text(message.info.arrival),
                   time_text(message.first_seen), time_text(message.retrieved), std::to_string(message.failures),
                   std::string(state_of(stored, message))});
    }
    out << '\n';
    table.print(out);
}

/// Calls visit(key, what is stored) for every mailbox.
template <class Visit>
Status for_each_mailbox(Fiber& fiber, StateStore& store, Console& console, Visit visit) {
    const auto keys = store.mailboxes(fiber);
    if (keys.has_error()) return keys.error();
    Progress progress("mailboxes", keys->size(), console.progress);
    for (const auto& key : *keys) {
        const auto stored = store.load(fiber, key);
        if (stored.has_error()) return stored.error();
        visit(key, *stored);
        progress.advance();
    }
    return {};
}

bool is_named(const StoredMailbox& stored, const StoredMessage& message, const std::string& id) {
    return message.info.id == id || stored_unique_id(stored, message) == id;
}

/// Everything that `what` names and that is in quarantine, by number. The error says what is named in vain.
Result<std::vector<StoredMessage>> find_quarantined(const StoredMailbox& stored, const Release& what) {
    const auto vain = [](std::string text) { return Error{Errc::permanent, std::move(text), {}}; };
    std::vector<StoredMessage> quarantined, found;
    std::ranges::copy_if(stored.messages, std::back_inserter(quarantined), &StoredMessage::quarantined);
    if (what.all) return quarantined;
    for (const auto& id : what.ids) {
        std::vector<StoredMessage> named;
        std::ranges::copy_if(quarantined, std::back_inserter(named),
                             [&](const StoredMessage& message) { return is_named(stored, message, id); });
        if (named.empty()) return vain(plain(id) + " is not in quarantine");
        if (named.size() > 1) return vain(plain(id) + " names more than one message: use --number");
        found.push_back(named.front());
    }
    for (const auto number : what.numbers) {
        const auto named = std::ranges::find(quarantined, number, &StoredMessage::number);
        if (named == quarantined.end()) return vain("number " + std::to_string(number) + " is not in quarantine");
        found.push_back(*named);
    }
    std::ranges::sort(found, {}, &StoredMessage::number);
    const auto same = [](const StoredMessage& a, const StoredMessage& b) { return a.number == b.number; };
    found.erase(std::unique(found.begin(), found.end(), same), found.end());
    return found;
}

}  // namespace

int fail(Console& console, const Error& error) {
    std::string text = error.text;
    if (!error.detail.empty()) text += " (" + error.detail + ')';
    console.err << "popgate: " << plain(text) << '\n';
    return exit_failed;
}

int show_mailbox(Fiber& fiber, StateStore& store, const NamedMailbox& mailbox, bool messages, Console& console) {
    const auto stored = store.load(fiber, mailbox.key);
    if (stored.has_error()) return fail(console, stored.error());
    if (!console.json) {
        print_summary(mailbox, *stored, console.out);
        if (messages) print_messages(*stored, console.out);
        return exit_done;
    }
    json::object document = as_json(mailbox.key, *stored);
    document["user"] = json_string(mailbox.user);
    if (messages) {
        json::array& list = document["message_list"].emplace_array();
        for (const auto& message : stored->messages) list.push_back(as_json(*stored, message));
    }
    print_json(console.out, document);
    return exit_done;
}

int show_all_mailboxes(Fiber& fiber, StateStore& store, Console& console) {
    Table table({"mailbox", ">messages", ">octets", ">hidden", ">quarantined", ">imported", "last full look"});
    const auto status =
        for_each_mailbox(fiber, store, console, [&](const std::string& key, const StoredMailbox& stored) {
            if (console.json) return print_json(console.out, as_json(key, stored));
            const Counts counts = count(stored);
            table.add({plain(key), std::to_string(stored.messages.size()), std::to_string(counts.octets),
                       std::to_string(counts.hidden), std::to_string(counts.quarantined),
                       std::to_string(stored.imported.size()), time_text(stored.head.reconciled)});
        });
    if (status.has_error()) return fail(console, status.error());
    if (!console.json) table.print(console.out);
    return exit_done;
}

Result<std::optional<std::string>> cost_of_forgetting(Fiber& fiber, StateStore& store, const NamedMailbox& mailbox) {
    const auto stored = store.load(fiber, mailbox.key);
    if (stored.has_error()) return stored.error();
    if (stored->head.version == 0) return std::optional<std::string>();
    const Counts counts = count(*stored);
    return std::optional("What is known of " + std::to_string(stored->messages.size()) + " messages of " +
                         plain(mailbox.user) + " is lost: " + std::to_string(counts.hidden) + " hidden and " +
                         std::to_string(counts.quarantined) + " quarantined ones show again, and when " +
                         std::to_string(counts.retrieved) + " were retrieved is forgotten. Imported unique-ids stay (" +
                         std::to_string(stored->imported.size()) + ").");
}

int forget_mailbox(Fiber& fiber, StateStore& store, const NamedMailbox& mailbox, Console& console) {
    const Fiber::Shield shield(fiber, write_grace);
    const auto forgotten = store.forget(fiber, mailbox.key);
    if (forgotten.has_error()) return fail(console, forgotten.error());
    if (console.json)
        print_json(console.out, json::object{{"user", json_string(mailbox.user)},
                                             {"mailbox", json_string(mailbox.key)},
                                             {"forgotten", *forgotten}});
    else
        console.out << plain(mailbox.key) << (*forgotten ? ": forgotten\n" : ": nothing was known of it\n");
    return exit_done;
}

int list_quarantine(Fiber& fiber, StateStore& store, const std::optional<NamedMailbox>& mailbox, Console& console) {
    Table table({"mailbox", ">number", "unique-id", "remote id", ">octets", "arrival", ">failures"});
    const auto list = [&](const std::string& key, const StoredMailbox& stored) {
        for (const auto& message : stored.messages) {
            if (!message.quarantined) continue;
            if (console.json) {
                json::object document = as_json(stored, message);
                document["mailbox"] = json_string(key);
                print_json(console.out, document);
                continue;
            }
            const auto unique_id = stored_unique_id(stored, message);
            table.add({plain(key), std::to_string(message.number), unique_id.empty() ? "derived" : plain(unique_id),
                       plain(message.info.id), std::to_string(message.info.octets), time_text(message.info.arrival),
                       std::to_string(message.failures)});
        }
    };
    if (mailbox) {
        const auto stored = store.load(fiber, mailbox->key);
        if (stored.has_error()) return fail(console, stored.error());
        list(mailbox->key, *stored);
    } else if (auto status = for_each_mailbox(fiber, store, console, list); status.has_error()) {
        return fail(console, status.error());
    }
    if (!console.json) table.print(console.out);
    return exit_done;
}

int release_quarantine(Fiber& fiber, StateStore& store, const NamedMailbox& mailbox, const Release& what,
                       Console& console) {
    const auto stored = store.load(fiber, mailbox.key);
    if (stored.has_error()) return fail(console, stored.error());
    const auto released = find_quarantined(*stored, what);
    if (released.has_error()) return fail(console, released.error());
    MailboxChange change;
    change.durable = true;
    for (const auto& message : *released) {
        MessageChange each;
        each.number = message.number;
        each.id = message.info.id;
        each.failures = 0;
        each.quarantined = false;
        change.changed.push_back(std::move(each));
    }
    if (!change.changed.empty()) {
        const Fiber::Shield shield(fiber, write_grace);
        const auto saved = store.save(fiber, mailbox.key, std::move(change));
        if (saved.has_error()) return fail(console, saved.error());
        if (!*saved) return fail(console, Error{Errc::temporary, "the mailbox was forgotten meanwhile", {}});
    }
    for (const auto& message : *released) {
        if (console.json)
            print_json(console.out, json::object{{"mailbox", json_string(mailbox.key)},
                                                 {"number", message.number},
                                                 {"id", json_string(message.info.id)},
                                                 {"released", true}});
    }
    if (!console.json) console.out << released->size() << " released\n";
    return exit_done;
}

}  // namespace popgate::commands
