#include "gateway/commands/copy_state.hpp"

#include "gateway/accounts/account_store.hpp"
#include "gateway/commands/mailbox_commands.hpp"
#include "gateway/commands/progress.hpp"

#include <boost/json/object.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <ostream>
#include <string>
#include <tuple>
#include <utility>

namespace popgate::commands {

namespace {

struct Count {
    std::size_t copied = 0;
    std::size_t same = 0;
    std::size_t failed = 0;

    void add(const Result<bool>& outcome) { ++(!outcome ? failed : *outcome ? copied : same); }
};

std::int64_t seconds_now() {
    using namespace std::chrono;
    return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
}

auto parts(const StoredHead& head) {
    return std::tie(head.state, head.generation, head.unique_ids, head.reconciled, head.next_number, head.view_floor,
                    head.sizes_corrected);
}

bool is_same(const StoredMessage& a, const StoredMessage& b) {
    const auto of = [](const StoredMessage& each) {
        const auto& info = each.info;
        return std::tie(each.number, info.id, info.octets, info.octets_are_exact, info.arrival, info.unique_id,
                        each.first_seen, each.retrieved, each.failures, each.hidden, each.quarantined);
    };
    return of(a) == of(b);
}

/// What can be learned again; version 0 on both sides is the same nothing.
bool is_same(const StoredMailbox& a, const StoredMailbox& b) {
    return (a.head.version == 0) == (b.head.version == 0) && parts(a.head) == parts(b.head) &&
           std::ranges::equal(a.messages, b.messages,
                              [](const StoredMessage& x, const StoredMessage& y) { return is_same(x, y); });
}

Status replace(Fiber& fiber, StateStore& to, const std::string& name, StoredMailbox source) {
    if (const auto forgotten = to.forget(fiber, name); !forgotten) return forgotten.error();
    if (source.head.version == 0) return {};
    MailboxChange change;
    change.sizes_corrected = source.head.sizes_corrected;
    change.head = std::move(source.head);
    change.head->version = 0;
    change.added = std::move(source.messages);
    change.durable = true;
    const auto saved = to.save(fiber, name, std::move(change));
    if (!saved) return saved.error();
    if (!*saved) return Error{Errc::temporary, "somebody else writes it at the same time", {}};
    return {};
}

/// True when something was written.
Result<bool> copy_mailbox(Fiber& fiber, StateStore& from, StateStore& to, const std::string& name) {
    auto source = from.load(fiber, name);
    if (!source) return source.error();
    const auto target = to.load(fiber, name);
    if (!target) return target.error();
    const auto retired = from.retired(fiber, name);
    if (!retired) return retired.error();
    auto retired_there = to.retired(fiber, name);
    if (!retired_there) return retired_there.error();

    bool has_written = false;
    // What keeps unique-ids goes first: what is broken off must not show messages under others.
    if (source->imported != target->imported || source->imported_generation != target->imported_generation) {
        if (auto status = to.keep_imported(fiber, name, source->imported_generation, source->imported); !status)
            return status.error();
        has_written = true;
    }
    if (!source->first_generation.empty() && source->first_generation != target->first_generation) {
        if (!target->first_generation.empty())
            return Error{Errc::permanent, "the other store has seen this mailbox begin otherwise", {}};
        if (auto status = to.keep_first_generation(fiber, name, source->first_generation); !status)
            return status.error();
        has_written = true;
    }
    for (const auto& [id, times] : *retired) {
        if ((*retired_there)[id] >= times) continue;
        if (auto status = to.keep_retired(fiber, name, *retired, seconds_now()); !status) return status.error();
        has_written = true;
        break;
    }
    if (is_same(*source, *target)) return has_written;
    if (auto status = replace(fiber, to, name, std::move(*source)); !status) return status.error();
    return true;
}

Result<bool> copy_record(Fiber& fiber, StateStore& from, StateStore& to, const std::string& kind,
                         const std::string& name) {
    const auto source = from.record(fiber, kind, name);
    if (!source) return source.error();
    const auto target = to.record(fiber, kind, name);
    if (!target) return target.error();
    if (source->revision == 0 || (target->revision != 0 && source->octets == target->octets)) return false;
    const auto kept = to.keep_record(fiber, kind, name, source->octets, target->revision);
    if (!kept) return kept.error();
    if (!*kept) return Error{Errc::temporary, "somebody else writes it at the same time", {}};
    return true;
}

}  // namespace

int copy_state(Fiber& fiber, StateStore& from, StateStore& to, Console& console) {
    const auto mailboxes = from.mailboxes(fiber);
    if (!mailboxes) return fail(console, mailboxes.error());
    std::vector<std::pair<std::string, std::string>> records;
    for (const auto& kind : record_kinds()) {
        const auto names = from.record_names(fiber, kind);
        if (!names) return fail(console, names.error());
        for (const auto& name : *names) records.emplace_back(kind, name);
    }
    Count of_mailboxes, of_records;
    const auto tell = [&](const std::string& what, const Result<bool>& outcome) {
        if (outcome) return;
        console.err << "popgate: " << plain(what) << ": " << plain(outcome.error().text)
                    << (outcome.error().detail.empty() ? "" : " (" + plain(outcome.error().detail) + ")") << '\n';
    };
    {
        Progress progress("records and mailboxes", records.size() + mailboxes->size(), console.progress);
        for (const auto& [kind, name] : records) {
            if (fiber.interrupted()) break;
            const auto outcome = copy_record(fiber, from, to, kind, name);
            of_records.add(outcome);
            tell(kind + " of " + name, outcome);
            progress.advance();
        }
        for (const auto& name : *mailboxes) {
            if (fiber.interrupted()) break;
            const auto outcome = copy_mailbox(fiber, from, to, name);
            of_mailboxes.add(outcome);
            tell(name, outcome);
            progress.advance();
        }
    }
    const auto row = [](const Count& count) {
        return boost::json::object{{"copied", count.copied}, {"same", count.same}, {"failed", count.failed}};
    };
    if (console.json)
        print_json(console.out, boost::json::object{{"mailboxes", row(of_mailboxes)}, {"records", row(of_records)}});
    else
        for (const auto& [what, count] : {std::pair{"mailboxes", &of_mailboxes}, std::pair{"records", &of_records}})
            console.out << what << ": " << count->copied << " copied, " << count->same << " were the same, "
                        << count->failed << " failed\n";
    const bool is_whole = of_mailboxes.failed + of_records.failed == 0 && !fiber.interrupted();
    return is_whole ? exit_done : exit_failed;
}

}  // namespace popgate::commands
