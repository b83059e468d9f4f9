#include "gateway/index/reconcile.hpp"

#include "backends/unique_id_format.hpp"

#include <algorithm>
#include <functional>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace popgate {

namespace {

/// Finds a listed message among the stored ones. The map is made only where a backend does not hand tags back.
class Finder {
public:
    explicit Finder(const std::vector<StoredMessage>& stored) : stored_(stored) {}

    std::optional<std::size_t> find(const MessageInfo& listed) {
        if (listed.tag > 0)
            return listed.tag <= stored_.size() ? std::optional(listed.tag - std::size_t{1}) : std::nullopt;
        if (by_id_.empty())
            for (std::size_t i = 0; i < stored_.size(); ++i) by_id_.emplace(stored_[i].info.id, i);
        const auto found = by_id_.find(listed.id);
        if (found == by_id_.end()) return std::nullopt;
        return found->second;
    }

private:
    const std::vector<StoredMessage>& stored_;
    std::unordered_map<std::string_view, std::size_t> by_id_;
};

void refresh(StoredMessage& known, MessageInfo&& listed, const ReconcileRules& rules) {
    auto& info = known.info;
    if (listed.octets_are_exact || !info.octets_are_exact || !rules.keep_measured_sizes) {
        info.octets = listed.octets;
        info.octets_are_exact = listed.octets_are_exact;
    }
    if (listed.arrival != 0) info.arrival = listed.arrival;
    // Also where it had none: a message that was shown under its derived id keeps that.
    if (!rules.keep_unique_ids) info.unique_id = std::move(listed.unique_id);
}

/// To be called before `listed` takes the place of what is known. An info that was lent still has its numbers.
void note_date(Reconciled& result, const StoredMessage& known, const MessageInfo& listed) {
    if (known.info.arrival == 0 && listed.arrival != 0) result.dated.push_back(known.number);
}

/// True where ids ascend, as the numbers that IMAP gives do: no two are the same then, and nobody has to remember them.
bool ids_ascend(const std::vector<MessageInfo>& listed) {
    const auto is_behind = [](const MessageInfo& a, const MessageInfo& b) {
        return a.id.size() != b.id.size() ? a.id.size() < b.id.size() : a.id < b.id;
    };
    return std::ranges::adjacent_find(listed, std::not_fn(is_behind)) == listed.end();
}

/// The usual case by far, and one that may have very many messages: nothing came, nothing went.
bool is_as_stored(const std::vector<StoredMessage>& stored, const std::vector<MessageInfo>& listed) {
    std::uint32_t place = 0;
    return stored.size() == listed.size() &&
           std::ranges::all_of(listed, [&](const MessageInfo& each) { return each.tag == ++place; });
}

}  // namespace

Reconciled reconcile(StoredMailbox stored, std::vector<MessageInfo> listed, const std::string& generation,
                     const ReconcileRules& rules) {
    Reconciled result;
    if (stored.head.version != 0 && stored.head.generation != generation) {
        result.replaced = !stored.messages.empty();
        stored.messages.clear();
        for (auto& each : listed) each.tag = 0;
    }
    result.first_new = result.next_number = stored.head.next_number;
    if (is_as_stored(stored.messages, listed)) {
        for (std::size_t i = 0; i < listed.size(); ++i) {
            note_date(result, stored.messages[i], listed[i]);
            stored.messages[i].info = std::move(listed[i]);
        }
        result.messages = std::move(stored.messages);
        return result;
    }
    result.messages.reserve(listed.size());
    std::vector<bool> is_there(stored.messages.size());
    Finder finder(stored.messages);
    const bool differ = ids_ascend(listed);
    std::unordered_set<std::string> new_ids;
    for (auto& each : listed) {
        const auto place = finder.find(each);
        if (place && !is_there[*place]) {
            is_there[*place] = true;
            auto& known = stored.messages[*place];
            note_date(result, known, each);
            if (each.tag != 0) {
                known.info = std::move(each);
                result.messages.push_back(std::move(known));
            } else {
                refresh(known, std::move(each), rules);
                result.messages.push_back(known);  // not moved: the finder's keys are views of it
            }
        } else if (!place && (differ || new_ids.insert(each.id).second)) {
            StoredMessage fresh;
            fresh.number = result.next_number++;
            fresh.info = std::move(each);
            fresh.first_seen = rules.now;
            result.messages.push_back(std::move(fresh));
        }
    }
    std::ranges::sort(result.dated);
    for (std::size_t i = 0; i < is_there.size(); ++i) {
        auto& unlisted = stored.messages[i];
        if (is_there[i]) continue;
        if (rules.is_whole) {
            result.removed.push_back(unlisted.number);
        } else if (!unlisted.info.id.empty()) {  // else it is lent, and stays as it is stored
            if (!rules.keep_unique_ids) unlisted.info.unique_id = {};
            result.messages.push_back(unlisted);
        }
    }
    return result;
}

std::vector<std::uint32_t> settle_unique_ids(Reconciled& mailbox,
                                             const std::map<std::string, std::string, std::less<>>& imported,
                                             const std::function<std::string(const MessageInfo&)>& derive) {
    // Derived ids are made of what differs from message to message, so only explicit ones can meet another.
    const auto has_explicit = [](const StoredMessage& each) { return !each.info.unique_id.empty(); };
    if (imported.empty() && std::ranges::none_of(mailbox.messages, has_explicit)) return {};

    enum class Rank { from_import, known, fresh };
    struct Candidate {
        Rank rank;
        StoredMessage* message;
        std::string id;
    };
    std::vector<Candidate> claims;
    claims.reserve(mailbox.messages.size());
    for (auto& each : mailbox.messages) {
        const auto import = imported.find(each.info.id);
        if (import != imported.end()) {
            claims.push_back({Rank::from_import, &each, import->second});
            continue;
        }
        const auto rank = each.number < mailbox.first_new ? Rank::known : Rank::fresh;
        claims.push_back({rank, &each, has_explicit(each) ? each.info.unique_id.str() : derive(each.info)});
    }
    std::ranges::stable_sort(claims, {}, &Candidate::rank);

    // An imported id stays its message's own when that has gone: clients know it, and would not fetch another under it.
    std::unordered_map<std::string, std::string_view> owners;
    for (const auto& [message, id] : imported) owners.emplace(fit_unique_id(id), message);
    const auto is_anothers = [&](const Candidate& claim, const std::string& id) {
        if (claim.rank != Rank::fresh) return false;
        const auto owner = owners.find(id);
        return owner != owners.end() && owner->second != claim.message->info.id;
    };

    std::vector<std::uint32_t> to_store;
    std::unordered_set<std::string> taken;
    taken.reserve(claims.size());
    for (const auto& claim : claims) {
        auto& info = claim.message->info;
        auto id = fit_unique_id(claim.id);
        const bool is_twin = !taken.insert(id).second || is_anothers(claim, id);
        for (unsigned i = 0; is_twin && (i == 0 || !taken.insert(id).second); ++i)
            id = fit_unique_id(claim.id + "-" + info.id + (i > 0 ? "-" + std::to_string(i) : ""));
        if (is_twin && claim.rank == Rank::known && info.unique_id.str() != id)
            to_store.push_back(claim.message->number);
        if (is_twin || claim.rank == Rank::from_import || has_explicit(*claim.message)) info.unique_id = std::move(id);
    }
    std::ranges::sort(to_store);
    return to_store;
}

}  // namespace popgate
