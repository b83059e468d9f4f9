#include "backends/http/read_ahead.hpp"

#include "backends/registry.hpp"
#include "gateway/observe/metrics.hpp"
#include "tests/support/on_fiber.hpp"
#include "tests/support/scripted_http.hpp"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>

namespace popgate::http {
namespace {

using namespace std::chrono_literals;
using test::on_fiber;
using test::ScriptedHttp;

constexpr auto long_enough = 10s;  // for what should come at once

double count_of(metrics::ReadAhead outcome) { return metrics::read_ahead.value(outcome); }

/// Messages by id, below "/". Those that are held are not answered before the test lets them go.
class Mail {
public:
    ~Mail() { let_all_go(); }

    void hold(const std::string& id) {
        const std::lock_guard lock(mutex_);
        held_.insert(id);
    }
    void let_go(const std::string& id) {
        {
            const std::lock_guard lock(mutex_);
            held_.erase(id);
        }
        changed_.notify_all();
    }
    void let_all_go() {
        {
            const std::lock_guard lock(mutex_);
            held_.clear();
        }
        changed_.notify_all();
    }
    /// What is said the first times that a message is asked for, octet for octet.
    void say(const std::string& id, std::vector<std::string> answers) {
        const std::lock_guard lock(mutex_);
        answers_[id] = std::move(answers);
    }
    void put(const std::string& id, std::string text) {
        const std::lock_guard lock(mutex_);
        texts_[id] = std::move(text);
    }

    static std::string text_of(const std::string& id) { return "Subject: " + id + "\r\n\r\nbody\r\n"; }

    /// Ids in the order in which they were asked for.
    std::vector<std::string> asked() const {
        std::vector<std::string> ids;
        for (const auto& each : server.asked()) ids.push_back(each.target().substr(1));
        return ids;
    }
    std::size_t times(const std::string& id) const {
        const auto all = asked();
        return static_cast<std::size_t>(std::ranges::count(all, id));
    }

private:
    std::string answer(const std::string& id) {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, long_enough, [&] { return !held_.contains(id); });
        auto& answers = answers_[id];
        if (!answers.empty()) {
            auto first = answers.front();
            answers.erase(answers.begin());
            return first;
        }
        return ScriptedHttp::say("200 OK", texts_.contains(id) ? texts_[id] : text_of(id));
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::set<std::string> held_;
    std::map<std::string, std::vector<std::string>> answers_;
    std::map<std::string, std::string> texts_;

public:
    ScriptedHttp server{[this](const auto& asked, auto) { return answer(asked.target().substr(1)); }};
};

class TextSink final : public BodySink {
public:
    bool write(std::string_view octets) noexcept override {
        text += octets;
        if (on_write) on_write();
        return !is_closed;
    }
    std::string text;
    bool is_closed = false;
    std::function<void()> on_write;
};

struct Rules {
    UpstreamLimits limits{};
    std::uint32_t budget = 256 * 1024;
    std::chrono::milliseconds command_timeout = 20s;
    std::shared_ptr<TokenSource> tokens{};
};

/// A session, as a backend has it.
class Reader {
public:
    Reader(Fiber& fiber, const Mail& mail, const Rules& rules = {}) : fiber_(fiber), origin_(mail.server.origin()) {
        BackendOptions options;
        options.command_timeout = rules.command_timeout;
        options.read_ahead = rules.budget;
        options.verify_certificate = false;  // nor are any authorities read, which takes its time
        auto upstream = *Upstream::make(options, rules.limits);
        upstream->patience = 3s;
        UpstreamLogin login("user", Secret("pass"));
        login.tokens = rules.tokens;
        auto credential = make_credential(*CredentialForm::parse(rules.tokens ? "bearer" : "basic"), "", login);
        client_.emplace(fiber, std::move(upstream), "user", std::move(*credential));
        ahead_ = std::make_unique<ReadAhead>(fiber, client_->upstream(), [this](Fiber& on, const MessageInfo& message) {
            auto client = client_->ahead(on, 1);
            if (!client) return ReadAhead::Read();
            const auto own = std::make_shared<Client>(std::move(*client));
            return ReadAhead::Read([own, url = url_of(message.id)](BodySink& sink) { return get(*own, url, sink); });
        });
    }

    /// The password is proved by the first request.
    void log_in() { EXPECT_EQ(fetch("login"), Mail::text_of("login")); }

    void expect(const std::vector<std::string>& ids, std::uint64_t octets = 100) {
        std::vector<MessageInfo> messages;
        for (const auto& id : ids) messages.push_back({.id = id, .octets = octets});
        std::vector<const MessageInfo*> next;
        for (const auto& each : messages) next.push_back(&each);
        ahead_->expect(next);
    }

    Status fetch(const std::string& id, TextSink& sink) {
        MessageInfo message;
        message.id = id;
        return ahead_->fetch(message, sink, [&](BodySink& to) { return get(*client_, url_of(id), to); });
    }
    /// The message, or what became of it.
    std::string fetch(const std::string& id) {
        TextSink sink;
        const auto status = fetch(id, sink);
        if (status) return sink.text;
        return (sink.text.empty() ? "" : "broken: ") + status.error().text;
    }

    template <class Condition>
    [[nodiscard]] bool wait_until(Condition condition) {
        const auto until = Clock::now() + long_enough;
        while (!condition() && Clock::now() < until) fiber_.sleep_until(Clock::now() + 2ms);
        return condition();
    }
    /// Whatever is going to be asked for, has been: nothing is left to be done on this thread.
    void settle() {
        for (int turns = 0; turns < 20; ++turns) fiber_.give_way();
    }

    void go() { ahead_.reset(); }

private:
    static Status get(Client& client, const Url& url, BodySink& sink) {
        Request request;
        request.url = url;
        const auto response = client.stream(request, sink);
        if (!response) return response.error();
        return response->ok() ? Status() : to_error(*response, "cannot be had");
    }
    Url url_of(const std::string& id) const { return *parse_url(origin_ + "/" + id); }

    Fiber& fiber_;
    std::string origin_;
    std::optional<Client> client_;
    std::unique_ptr<ReadAhead> ahead_;
};

TEST(ReadAhead, GetsTheNextWhileOneIsFetched) {
    Mail mail;
    on_fiber([&](Fiber& fiber) {
        Reader reader(fiber, mail);
        reader.log_in();
        const auto used = count_of(metrics::ReadAhead::used);
        const auto at_once = {"1", "2", "3"};
        for (const auto* id : at_once) mail.hold(id);
        reader.expect({"2", "3", "4"});
        TextSink first;
        // None is answered before all three are there.
        std::thread watcher([&] {
            const auto until = Clock::now() + long_enough;
            while (std::ranges::any_of(at_once, [&](const auto* id) { return mail.times(id) == 0; }) &&
                   Clock::now() < until)
                std::this_thread::sleep_for(1ms);
            mail.let_all_go();
        });
        EXPECT_TRUE(reader.fetch("1", first));
        watcher.join();
        EXPECT_EQ(first.text, Mail::text_of("1"));
        for (const auto* id : {"2", "3", "4"}) EXPECT_EQ(reader.fetch(id), Mail::text_of(id));
        EXPECT_EQ(count_of(metrics::ReadAhead::used), used + 3);
    });
    EXPECT_EQ(mail.asked().size(), 5u) << "each once";
    EXPECT_GT(mail.server.most_at_once(), 1u);
}

TEST(ReadAhead, LeavesTheAccountASlot) {
    Mail mail;
    for (const auto* id : {"1", "2", "3", "4", "5"}) mail.hold(id);
    on_fiber([&](Fiber& fiber) {
        Reader reader(fiber, mail, {.limits = {.concurrent_per_account = 4}});
        reader.log_in();
        reader.expect({"1", "2", "3", "4", "5"});
        EXPECT_TRUE(reader.wait_until([&] { return mail.asked().size() == 4; }));
        reader.settle();
        for (const auto* id : {"1", "2", "3"}) EXPECT_EQ(mail.times(id), 1u) << id;
        EXPECT_EQ(mail.asked().size(), 4u);
        EXPECT_EQ(reader.fetch("another"), Mail::text_of("another")) << "the fourth slot";
        mail.let_all_go();
        EXPECT_EQ(reader.fetch("4"), Mail::text_of("4"));
    });
    EXPECT_EQ(mail.server.most_at_once(), 4u);
}

TEST(ReadAhead, OneRequestAtATimeIsTheSessionsOwn) {
    Mail mail;
    on_fiber([&](Fiber& fiber) {
        Reader reader(fiber, mail, {.limits = {.concurrent_per_account = 1}});
        reader.log_in();
        reader.expect({"2", "3"});
        EXPECT_EQ(reader.fetch("1"), Mail::text_of("1"));
        reader.settle();
        EXPECT_EQ(mail.asked().size(), 2u);
        EXPECT_EQ(reader.fetch("2"), Mail::text_of("2"));
    });
    EXPECT_EQ(mail.server.most_at_once(), 1u);
}

TEST(ReadAhead, NoneWithoutOctetsOrAProvedPassword) {
    Mail mail;
    on_fiber([&](Fiber& fiber) {
        Reader off(fiber, mail, {.budget = 0});
        off.log_in();
        off.expect({"1", "2"});
        off.settle();
        Reader unproved(fiber, mail);
        unproved.expect({"1", "2"});
        unproved.settle();
        EXPECT_EQ(mail.asked().size(), 1u);
        EXPECT_EQ(unproved.fetch("1"), Mail::text_of("1"));
    });
}

TEST(ReadAhead, StaysWithinItsOctetsAsTheyWereListed) {
    Mail mail;
    on_fiber([&](Fiber& fiber) {
        Reader reader(fiber, mail, {.budget = 1000});
        reader.log_in();
        mail.put("1", std::string(400, 'a'));
        mail.put("2", std::string(400, 'b'));
        reader.expect({"1", "2", "3", "4"}, 400);
        EXPECT_TRUE(reader.wait_until([&] { return mail.asked().size() == 3; }));
        reader.settle();
        EXPECT_EQ(mail.asked().size(), 3u) << "no room for a third";
        EXPECT_EQ(reader.fetch("1"), std::string(400, 'a'));
        EXPECT_TRUE(reader.wait_until([&] { return mail.times("3") == 1; })) << "now there is";
        EXPECT_EQ(reader.fetch("2"), std::string(400, 'b'));
        reader.expect({"5", "6"}, 1001);
        reader.settle();
        EXPECT_EQ(mail.times("5"), 0u) << "never fits";
        EXPECT_EQ(reader.fetch("5"), Mail::text_of("5"));
    });
}

TEST(ReadAhead, GivesUpWhatIsLargerThanListedAndFetchesItInTheOrdinaryWay) {
    Mail mail;
    const std::string large(5000, 'x');
    mail.put("1", large);
    on_fiber([&](Fiber& fiber) {
        Reader reader(fiber, mail, {.budget = 1000});
        reader.log_in();
        const auto dropped = count_of(metrics::ReadAhead::dropped);
        reader.expect({"1", "2"}, 10);
        EXPECT_TRUE(reader.wait_until([&] { return count_of(metrics::ReadAhead::dropped) == dropped + 1; }));
        EXPECT_TRUE(reader.wait_until([&] { return mail.times("2") == 1; })) << "no failure, so it goes on";
        EXPECT_EQ(reader.fetch("1"), large);
        EXPECT_EQ(reader.fetch("2"), Mail::text_of("2"));
    });
    EXPECT_EQ(mail.times("1"), 2u);
    EXPECT_EQ(mail.times("2"), 1u);
}

TEST(ReadAhead, AFailureIsForgottenAndNothingMoreReadAheadForAWhile) {
    Mail mail;
    mail.say("1", {ScriptedHttp::say("500 Oops", "")});
    on_fiber([&](Fiber& fiber) {
        Reader reader(fiber, mail, {.limits = {.concurrent_per_account = 2}});
        reader.log_in();
        const auto dropped = count_of(metrics::ReadAhead::dropped);
        reader.expect({"1", "2", "3"});
        EXPECT_TRUE(reader.wait_until([&] { return count_of(metrics::ReadAhead::dropped) == dropped + 1; }));
        EXPECT_EQ(reader.fetch("1"), Mail::text_of("1"));
        for (int i = 2; i <= 8; ++i) {
            reader.expect({std::to_string(i), std::to_string(i + 1)});
            reader.settle();
            EXPECT_EQ(mail.times(std::to_string(i)), 0u);
            EXPECT_EQ(reader.fetch(std::to_string(i)), Mail::text_of(std::to_string(i)));
        }
        reader.expect({"9", "10"});
        EXPECT_TRUE(reader.wait_until([&] { return mail.times("9") == 1; }));
        EXPECT_EQ(reader.fetch("9"), Mail::text_of("9"));
    });
    EXPECT_EQ(mail.times("1"), 2u);
    EXPECT_EQ(mail.times("9"), 1u);
}

TEST(ReadAhead, AMessageThatIsGoneIsToldSoWhenItIsAskedForAndStopsNothing) {
    Mail mail;
    const auto gone = ScriptedHttp::say("404 Not Found", "");
    mail.say("1", {gone, gone});
    on_fiber([&](Fiber& fiber) {
        Reader reader(fiber, mail);
        reader.log_in();
        reader.expect({"1", "2"});
        EXPECT_TRUE(reader.wait_until([&] { return mail.times("2") == 1; }));
        TextSink sink;
        const auto status = reader.fetch("1", sink);
        EXPECT_EQ(status.error().code, Errc::gone);
        EXPECT_EQ(reader.fetch("2"), Mail::text_of("2"));
        reader.expect({"3", "4"});
        EXPECT_TRUE(reader.wait_until([&] { return mail.times("4") == 1; }));
    });
    EXPECT_EQ(mail.times("1"), 2u);
}

TEST(ReadAhead, APauseThatTheServerAsksForIsKept) {
    Mail mail;
    mail.say("1", {ScriptedHttp::say("429 Slow Down", "", "Retry-After: 3600\r\n")});
    on_fiber([&](Fiber& fiber) {
        Reader reader(fiber, mail, {.limits = {.concurrent_per_account = 2}});
        reader.log_in();
        const auto dropped = count_of(metrics::ReadAhead::dropped);
        reader.expect({"1", "2", "3"});
        EXPECT_TRUE(reader.wait_until([&] { return count_of(metrics::ReadAhead::dropped) == dropped + 1; }));
        EXPECT_EQ(reader.fetch("1"), "the mail server is asked too much");
        EXPECT_EQ(reader.fetch("2"), "the mail server is asked too much");
        reader.settle();
    });
    EXPECT_EQ(mail.asked().size(), 2u);
}

TEST(ReadAhead, AShortPauseIsWaitedForByTheFetchAlone) {
    Mail mail;
    mail.say("1", {ScriptedHttp::say("429 Slow Down", "", "Retry-After: 1\r\n")});
    on_fiber([&](Fiber& fiber) {
        Reader reader(fiber, mail, {.limits = {.concurrent_per_account = 2}});
        reader.log_in();
        reader.expect({"1", "2"});
        EXPECT_EQ(reader.fetch("1"), Mail::text_of("1"));
        EXPECT_EQ(mail.times("2"), 0u);
    });
    EXPECT_EQ(mail.times("1"), 2u);
}

/// Gives "token-1", and after each renewal the next.
class Tokens final : public TokenSource {
public:
    Result<Secret> token(Fiber&) override { return Secret("token-" + std::to_string(renewals + 1)); }
    Result<bool> renew(Fiber&, const Secret& refused) override {
        EXPECT_EQ(refused.reveal(), "token-" + std::to_string(renewals + 1));
        ++renewals;
        return true;
    }
    int renewals = 0;
};

TEST(ReadAhead, ATokenThatHasExpiredIsRenewedByTheFetchAlone) {
    Mail mail;
    const auto refused = ScriptedHttp::say("401 Unauthorized", "");
    mail.say("1", {refused, refused});
    on_fiber([&](Fiber& fiber) {
        const auto tokens = std::make_shared<Tokens>();
        Reader reader(fiber, mail, {.limits = {.concurrent_per_account = 2}, .tokens = tokens});
        reader.log_in();
        const auto dropped = count_of(metrics::ReadAhead::dropped);
        reader.expect({"1", "2"});
        EXPECT_TRUE(reader.wait_until([&] { return count_of(metrics::ReadAhead::dropped) == dropped + 1; }));
        EXPECT_EQ(tokens->renewals, 0);
        EXPECT_EQ(reader.fetch("1"), Mail::text_of("1"));
        EXPECT_EQ(tokens->renewals, 1);
    });
    EXPECT_EQ(mail.times("1"), 3u);
    EXPECT_TRUE(mail.server.asked().back().has("Bearer token-2\r\n"));
}

TEST(ReadAhead, WhoGoesElsewhereEndsWhatIsUnderWay) {
    Mail mail;
    for (const auto* id : {"1", "2", "3"}) mail.hold(id);
    on_fiber([&](Fiber& fiber) {
        Reader reader(fiber, mail, {.limits = {.concurrent_per_account = 4}});
        reader.log_in();
        const auto dropped = count_of(metrics::ReadAhead::dropped);
        reader.expect({"1", "2", "3"});
        EXPECT_TRUE(reader.wait_until([&] { return mail.asked().size() == 4; }));
        reader.expect({});
        EXPECT_EQ(count_of(metrics::ReadAhead::dropped), dropped + 3);
        reader.settle();
        reader.expect({"7", "8"});
        EXPECT_TRUE(reader.wait_until([&] { return mail.times("7") == 1 && mail.times("8") == 1; }))
            << "their slots are free again";
        EXPECT_EQ(reader.fetch("7"), Mail::text_of("7"));
        mail.let_go("1");
        EXPECT_EQ(reader.fetch("1"), Mail::text_of("1"));
    });
    EXPECT_EQ(mail.times("1"), 2u);
}

TEST(ReadAhead, OnlyWhatIsStillExpectedIsKept) {
    Mail mail;
    on_fiber([&](Fiber& fiber) {
        Reader reader(fiber, mail);
        reader.log_in();
        reader.expect({"1", "2", "3"});
        EXPECT_TRUE(reader.wait_until([&] { return mail.asked().size() == 4; }));
        reader.expect({"2", "3", "4"});  // before the fetch of the first, as a client that reads in order has it
        EXPECT_EQ(reader.fetch("1"), Mail::text_of("1"));
        reader.expect({"12", "13"});  // and before that of another one
        EXPECT_EQ(reader.fetch("11"), Mail::text_of("11"));
        EXPECT_EQ(reader.fetch("2"), Mail::text_of("2"));
    });
    EXPECT_EQ(mail.times("1"), 1u);
    EXPECT_EQ(mail.times("2"), 2u);
}

TEST(ReadAhead, TheLastMessageOfAllIsNotDroppedBeforeItsFetch) {
    Mail mail;
    on_fiber([&](Fiber& fiber) {
        Reader reader(fiber, mail);
        reader.log_in();
        reader.expect({"2"});
        EXPECT_EQ(reader.fetch("1"), Mail::text_of("1"));
        reader.expect({});
        EXPECT_EQ(reader.fetch("2"), Mail::text_of("2"));
    });
    EXPECT_EQ(mail.times("2"), 1u);
}

TEST(ReadAhead, TheEndOfTheSessionEndsWhatIsUnderWay) {
    Mail mail;
    for (const auto* id : {"1", "2", "3"}) mail.hold(id);
    // It would not return as long as a fiber waited for the server, which does not answer.
    const auto began = Clock::now();
    on_fiber([&](Fiber& fiber) {
        Reader reader(fiber, mail, {.command_timeout = 60s});
        reader.log_in();
        reader.expect({"1", "2", "3"});
        EXPECT_TRUE(reader.wait_until([&] { return mail.asked().size() == 4; }));
        reader.go();
    });
    on_fiber([&](Fiber& fiber) {
        Reader reader(fiber, mail);
        reader.log_in();
        reader.expect({"4"});  // and a fiber that has not begun yet
    });
    EXPECT_LT(Clock::now() - began, long_enough);
    EXPECT_EQ(mail.times("4"), 0u);
}

/// Half of a message, of which the rest never comes.
std::string half_of(const std::string& half) {
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(2 * half.size()) + "\r\n\r\n" + half;
}

TEST(ReadAhead, AFetchGivesWhatComesAsItComes) {
    Mail mail;
    const std::string half(3000, 'h');
    mail.say("1", {half_of(half)});
    const auto began = Clock::now();
    on_fiber([&](Fiber& fiber) {
        Reader reader(fiber, mail, {.command_timeout = 60s});
        reader.log_in();
        reader.expect({"1"}, 6000);
        EXPECT_TRUE(reader.wait_until([&] { return mail.times("1") == 1; }));
        TextSink sink;
        sink.is_closed = true;
        EXPECT_EQ(reader.fetch("1", sink).error().code, Errc::sink_closed);
        EXPECT_EQ(sink.text, half);
    });
    EXPECT_LT(Clock::now() - began, 30s) << "what it has was waited for by the client";
    EXPECT_EQ(mail.times("1"), 1u);
}

TEST(ReadAhead, APartIsNeverTakenForTheWhole) {
    Mail mail;
    const std::string half(3000, 'h');
    mail.say("1", {half_of(half)});
    on_fiber([&](Fiber& fiber) {
        Reader reader(fiber, mail, {.command_timeout = 500ms});
        reader.log_in();
        reader.expect({"1"}, 6000);
        EXPECT_TRUE(reader.wait_until([&] { return mail.times("1") == 1; }));
        TextSink sink;
        const auto status = reader.fetch("1", sink);
        if (mail.times("1") == 1) {
            EXPECT_EQ(sink.text, half);
            EXPECT_EQ(status.error().code, Errc::temporary);
        } else {  // on a busy machine it may have failed before
            EXPECT_EQ(sink.text, Mail::text_of("1"));
            EXPECT_TRUE(status);
        }
    });
}

TEST(ReadAhead, AServerThatIsSilentIsAskedAnewInTime) {
    Mail mail;
    mail.hold("1");
    on_fiber([&](Fiber& fiber) {
        Reader reader(fiber, mail, {.command_timeout = 2s});
        reader.log_in();
        reader.expect({"1"});
        EXPECT_TRUE(reader.wait_until([&] { return mail.times("1") == 1; }));
        std::thread watcher([&] {
            const auto until = Clock::now() + long_enough;
            while (mail.times("1") < 2 && Clock::now() < until) std::this_thread::sleep_for(1ms);
            mail.let_go("1");
        });
        EXPECT_EQ(reader.fetch("1"), Mail::text_of("1"));
        watcher.join();
    });
}

TEST(ReadAhead, AClientMayTakeAMessageSlowlyWhileItComes) {
    Mail mail;
    std::string text;
    for (int i = 0; text.size() < 1'000'000; ++i) text += std::to_string(i) + "\r\n";
    mail.put("1", text);
    mail.hold("1");
    on_fiber([&](Fiber& fiber) {
        Reader reader(fiber, mail);
        reader.log_in();
        reader.expect({"1", "2"});
        EXPECT_TRUE(reader.wait_until([&] { return mail.times("1") == 1; }));
        mail.let_go("1");
        TextSink sink;
        sink.on_write = [&] { fiber.sleep_until(Clock::now() + 2ms); };
        EXPECT_TRUE(reader.fetch("1", sink)) << "more than the budget: it is being given already";
        EXPECT_TRUE(sink.text == text) << sink.text.size();
        EXPECT_EQ(reader.fetch("2"), Mail::text_of("2"));
    });
    EXPECT_EQ(mail.times("2"), 1u);
}

TEST(ReadAhead, ASinkThatIsClosedEndsTheRequest) {
    Mail mail;
    mail.put("1", std::string(200'000, 'x'));
    on_fiber([&](Fiber& fiber) {
        Reader reader(fiber, mail);
        reader.log_in();
        reader.expect({"1", "2"}, 200'000);
        TextSink sink;
        sink.is_closed = true;
        reader.settle();
        const auto status = reader.fetch("1", sink);
        EXPECT_EQ(status.error().code, Errc::sink_closed);
        EXPECT_EQ(reader.fetch("2"), Mail::text_of("2"));
    });
}

TEST(ReadAhead, AnInterruptedSessionWaitsForNothing) {
    Mail mail;
    mail.hold("1");
    on_fiber([&](Fiber& fiber) {
        Reader reader(fiber, mail, {.command_timeout = 60s});
        reader.log_in();
        reader.expect({"1"});
        EXPECT_TRUE(reader.wait_until([&] { return mail.times("1") == 1; }));
        boost::asio::steady_timer timer(fiber.context(), 20ms);
        timer.async_wait([&](const auto&) { fiber.interrupt(); });
        const auto began = Clock::now();
        TextSink sink;
        EXPECT_EQ(reader.fetch("1", sink).error().code, Errc::temporary);
        EXPECT_LT(Clock::now() - began, long_enough);
    });
}

}  // namespace
}  // namespace popgate::http
