#pragma once

#include "gateway/config/config.hpp"
#include "gateway/index/indexed_mailbox.hpp"
#include "gateway/state/state_store.hpp"
#include "tests/support/on_fiber.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace popgate {

inline const Error down{Errc::temporary, "down", {}};

/// A mailbox whose every answer a test decides.
class ScriptedMailbox final : public Mailbox {
public:
    struct Message {
        std::string id;
        std::string text = "Subject: x\r\n\r\ntext\r\n";
        std::uint64_t listed_octets = 0;  // an estimate; 0: the true size
    };

    Result<Listing> list(KnownMailbox remembered) override {
        known = std::move(remembered);
        if (before_answer) before_answer();
        const bool is_same = generation == (known.state.empty() ? last_generation_ : generations_[known.state]);
        Listing listing;
        listing.ids_may_return = ids_may_return;
        std::size_t fresh = 0;
        for (const auto& each : messages) {
            const auto old = std::ranges::find(known.messages, each.id, &MessageInfo::id);
            if (old != known.messages.end() && is_same) {
                listing.messages.push_back(*old);
                if (old->arrival == 0) listing.messages.back().arrival = arrival;
                continue;
            }
            if (known.patience.count() > 0 && fresh++ >= fresh_at_once) {
                ++listing.still_to_come;
                continue;
            }
            MessageInfo info;
            info.id = each.id;
            info.arrival = arrival;
            info.octets = each.listed_octets ? each.listed_octets : each.text.size();
            listing.messages.push_back(info);
        }
        listing.state = state;
        listing.generation = last_generation_ = generations_[state] = generation;
        return listing;
    }

    std::string unique_id(const MessageInfo& message) const override { return "u" + message.id; }

    Result<std::vector<bool>> unread(const std::vector<MessageInfo>& asked) override {
        std::vector<bool> answer;
        for (const auto& each : asked) answer.push_back(!seen.contains(each.id));
        return answer;
    }

    Status fetch(const MessageInfo& message, BodySink& sink) override {
        ++fetches;
        if (is_down || broken.contains(message.id)) return fault;
        const auto found = std::ranges::find(messages, message.id, &Message::id);
        if (found == messages.end()) return Error{Errc::gone, "gone", {}};
        if (!sink.write(found->text)) return Error{Errc::sink_closed, {}, {}};
        return {};
    }
    Status fetch_top(const MessageInfo& message, BodySink& sink) override { return fetch(message, sink); }

    RemovalReport remove(const std::vector<MessageInfo>& asked) override { return take(asked, "removed"); }
    RemovalReport purge(const std::vector<MessageInfo>& asked) override { return take(asked, "purged"); }
    RemovalReport move(const std::vector<MessageInfo>& asked, SpecialFolder target) override {
        return take(asked, target == SpecialFolder::trash ? "trash" : "archive");
    }

    Status mark_seen(const std::vector<MessageInfo>& asked) override {
        if (is_down) return down;
        for (const auto& each : asked) seen.insert(each.id);
        return {};
    }
    Status keep_alive() override { return {}; }
    void close() override {}

    std::vector<Message> messages;
    std::string state = "s1", generation = "g1";
    std::set<std::string> broken, seen;
    std::map<std::string, std::vector<std::string>> taken;  // by where to
    std::size_t removals_before_fault = SIZE_MAX;
    bool is_down = false;
    Error fault = down;  // of what is broken or down
    bool ids_may_return = false;
    std::size_t fresh_at_once = SIZE_MAX;  // of messages that are not known, where there is a patience
    std::int64_t arrival = 0;
    std::function<void()> before_answer;
    KnownMailbox known;  // as list() got it
    unsigned fetches = 0;
    std::vector<std::size_t> batches;

private:
    std::string last_generation_;
    std::map<std::string, std::string> generations_;  // by the state that was told with them

    RemovalReport take(const std::vector<MessageInfo>& asked, const std::string& where) {
        batches.push_back(asked.size());
        RemovalReport report;
        for (const auto& each : asked) {
            const bool may = removals_before_fault > 0;
            report.outcomes.push_back(may ? Removal::removed : Removal::failed);
            if (!may) {
                report.status = down;
                continue;
            }
            --removals_before_fault;
            taken[where].push_back(each.id);
            std::erase_if(messages, [&](const Message& message) { return message.id == each.id; });
        }
        return report;
    }
};

/// A store that may fail, or be changed by somebody else just before a save.
class TroubledStore final : public StateStore {
public:
    explicit TroubledStore(StateStore& inner) : inner_(inner) {}
    Result<StoredMailbox> load(Fiber& fiber, const std::string& mailbox) override {
        ++loads;
        if (fails) return down;
        return inner_.load(fiber, mailbox);
    }
    Result<std::optional<std::uint64_t>> save(Fiber& fiber, const std::string& mailbox, MailboxChange change) override {
        if (before_save) std::exchange(before_save, nullptr)();
        ++saves;
        if (fails_to_save) return down;
        return inner_.save(fiber, mailbox, std::move(change));
    }
    Result<bool> forget(Fiber& fiber, const std::string& mailbox) override { return inner_.forget(fiber, mailbox); }
    Status keep_imported(Fiber& fiber, const std::string& mailbox, const std::string& generation,
                         const std::map<std::string, std::string, std::less<>>& ids) override {
        return inner_.keep_imported(fiber, mailbox, generation, ids);
    }
    Status keep_first_generation(Fiber& fiber, const std::string& mailbox, const std::string& generation) override {
        if (fails_to_keep) return down;
        return inner_.keep_first_generation(fiber, mailbox, generation);
    }
    Result<RetiredIds> retired(Fiber& fiber, const std::string& mailbox) override {
        ++retired_loads;
        return inner_.retired(fiber, mailbox);
    }
    Status keep_retired(Fiber& fiber, const std::string& mailbox, const RetiredIds& ids, std::int64_t now) override {
        if (fails_to_keep) return down;
        return inner_.keep_retired(fiber, mailbox, ids, now);
    }
    Result<std::vector<std::string>> mailboxes(Fiber& fiber) override { return inner_.mailboxes(fiber); }
    Result<StoredRecord> record(Fiber& fiber, const std::string& kind, const std::string& name) override {
        return inner_.record(fiber, kind, name);
    }
    Result<bool> keep_record(Fiber& fiber, const std::string& kind, const std::string& name, const std::string& octets,
                             std::uint64_t expected) override {
        return inner_.keep_record(fiber, kind, name, octets, expected);
    }
    Result<bool> erase_record(Fiber& fiber, const std::string& kind, const std::string& name) override {
        return inner_.erase_record(fiber, kind, name);
    }
    Result<std::vector<std::string>> record_names(Fiber& fiber, const std::string& kind) override {
        return inner_.record_names(fiber, kind);
    }
    Result<std::unique_ptr<Claim>> try_claim(Fiber& fiber, const std::string& what) override {
        return inner_.try_claim(fiber, what);
    }
    Result<MaildropAnswer> hold_maildrop(Fiber& fiber, const std::string& mailbox) override {
        return inner_.hold_maildrop(fiber, mailbox);
    }
    std::string impairment() const override { return is_stand_in ? "too new" : ""; }
    bool lasts() const override { return !is_stand_in; }

    bool fails = false, fails_to_save = false, fails_to_keep = false, is_stand_in = false;
    std::function<void()> before_save;
    unsigned loads = 0, saves = 0, retired_loads = 0;

private:
    StateStore& inner_;
};

class IndexedMailboxTest : public testing::Test {
protected:
    IndexedMailboxTest() {
        rules.user = "ann";
        rules.unique_ids = "native";
        rules.reconcile_every = std::chrono::hours(24);
        put(3);
    }

    void put(int count) {
        for (int i = 0; i < count; ++i) mailbox.messages.push_back({std::to_string(++last_)});
    }

    using Index = std::unique_ptr<IndexedMailbox>;
    Result<Index> try_open(Fiber& fiber) { return IndexedMailbox::open(fiber, store, mailbox, "key", rules, progress); }

    /// Opens the mailbox and gives the body its index and what is shown.
    template <class Body>
    void in_session(Body body) {
        test::on_fiber([&](Fiber& fiber) {
            auto index = try_open(fiber);
            ASSERT_TRUE(index) << index.error().text;
            auto shown = (*index)->take_messages();
            body(**index, shown);
            (*index)->save_delivered();
        });
    }

    /// Runs what somebody else does in the middle of a session. On a thread of its own: a fiber that starts another
    /// loop would mislead sanitizers, which know one stack below it.
    template <class Body>
    void meanwhile(Body body) {
        std::thread([&] {
            boost::asio::io_context context(1);
            Fiber::start(
                context, [&](Fiber& fiber) { body(fiber); },
                [](const std::exception& error) { ADD_FAILURE() << error.what(); });
            context.run();
        }).join();
    }

    std::vector<std::string> shown_ids() {
        std::vector<std::string> ids;
        in_session([&](IndexedMailbox&, const auto& shown) {
            for (const auto& each : shown) ids.push_back(each.id);
        });
        return ids;
    }

    std::vector<std::string> unique_ids() {
        std::vector<std::string> ids;
        in_session([&](IndexedMailbox& index, const auto& shown) {
            for (const auto& each : shown) ids.push_back(index.unique_id(each));
        });
        return ids;
    }

    Error refusal() {
        Error error;
        test::on_fiber([&](Fiber& fiber) {
            const auto index = try_open(fiber);
            ASSERT_FALSE(index);
            error = index.error();
        });
        return error;
    }

    ScriptedMailbox mailbox;
    std::unique_ptr<StateStore> memory = open_state_store({"sqlite::memory:"}).value();
    TroubledStore store{*memory};
    IndexRules rules;
    IndexProgress progress;

private:
    int last_ = 0;
};

}  // namespace popgate
