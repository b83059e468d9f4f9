#include "gateway/observe/observed_backend.hpp"

#include "backends/memory/faulty_mailbox.hpp"
#include "backends/memory/memory_backend.hpp"
#include "gateway/observe/metrics.hpp"
#include "tests/support/on_fiber.hpp"

#include <gtest/gtest.h>

#include <string>

namespace popgate {
namespace {

using namespace std::chrono_literals;
using metrics::BackendKind;
using metrics::Failure;

constexpr auto kind = BackendKind::mbox;  // of no other test here

/// How many calls of it there were, and how long they took.
double calls(std::string_view operation, std::string_view what = "count") {
    const auto text = metrics_text();
    const auto series = "popgate_upstream_call_duration_seconds_" + std::string(what) +
                        R"({backend="mbox",operation=")" + std::string(operation) + "\"} ";
    const auto at = text.find(series);
    return at == std::string::npos ? -1 : std::stod(text.substr(at + series.size()));
}

double failures(Failure failure) { return metrics::upstream_failures.value(kind, failure); }

class StringSink final : public BodySink {
public:
    explicit StringSink(Fiber* slow = nullptr) : slow_(slow) {}
    bool write(std::string_view octets) noexcept override {
        text += octets;
        if (slow_) slow_->sleep_until(Clock::now() + 300ms);
        return text.size() < wanted;
    }
    std::string text;
    std::size_t wanted = SIZE_MAX;

private:
    Fiber* slow_;
};

class ObservedBackendTest : public testing::Test {
protected:
    ObservedBackendTest() {
        store->set_password("ann", "secret");
        for (int i = 0; i < 5; ++i) store->add("ann", "Subject: " + std::to_string(i) + "\r\n\r\nbody\r\n");
    }

    static UpstreamLogin login(const std::string& password = "secret") {
        UpstreamLogin given;
        given.user = "ann";
        given.password = Secret(password);
        return given;
    }

    std::shared_ptr<MemoryStore> store = std::make_shared<MemoryStore>();
    std::shared_ptr<Faults> faults = std::make_shared<Faults>();
    std::shared_ptr<const Backend> inner =
        make_faulty_backend(std::shared_ptr<const Backend>(make_memory_backend(store)), faults);
    std::shared_ptr<const Backend> backend = observed(inner, kind);
};

TEST_F(ObservedBackendTest, EveryCallGoesThroughAndIsTimed) {
    test::on_fiber([&](Fiber& fiber) {
        EXPECT_EQ(backend->mailbox_key("ann"), inner->mailbox_key("ann"));
        EXPECT_EQ(backend->checks_password(), inner->checks_password());
        const std::initializer_list<const char*> operations = {"open",   "list",      "fetch",     "top",
                                                               "remove", "mark_seen", "keep_alive"};
        std::map<std::string, double> before;
        for (const auto* operation : operations) before[operation] = calls(operation);

        auto mailbox = backend->open(fiber, login());
        ASSERT_TRUE(mailbox);
        auto& open = **mailbox;
        const auto listing = open.list({});
        ASSERT_TRUE(listing);
        ASSERT_EQ(listing->messages.size(), 5u);
        const auto& messages = listing->messages;
        EXPECT_TRUE(open.unread(messages));
        EXPECT_FALSE(open.unique_id(messages[0]).empty());
        StringSink whole;
        EXPECT_TRUE(open.fetch(messages[1], whole));
        EXPECT_EQ(whole.text, "Subject: 1\r\n\r\nbody\r\n");
        StringSink top;
        top.wanted = 1;
        EXPECT_EQ(open.fetch_top(messages[1], top).error().code, Errc::sink_closed);
        EXPECT_EQ(open.removal_batch(), 700u);
        EXPECT_EQ(open.remove({messages[0]}).outcomes, std::vector{Removal::removed});
        EXPECT_EQ(open.purge({messages[1]}).outcomes, std::vector{Removal::removed});
        EXPECT_EQ(open.move({messages[2]}, SpecialFolder::trash).outcomes, std::vector{Removal::removed});
        EXPECT_TRUE(open.mark_seen({messages[3]}));
        EXPECT_TRUE(open.keep_alive());
        open.close();

        EXPECT_EQ(store->messages("ann").size(), 2u);
        EXPECT_EQ(store->messages("ann", "Trash").size(), 1u);
        const std::map<std::string, double> expected{{"open", 1},   {"list", 2},      {"fetch", 1},     {"top", 1},
                                                     {"remove", 3}, {"mark_seen", 1}, {"keep_alive", 1}};
        for (const auto& [operation, count] : expected)
            EXPECT_EQ(calls(operation) - before[operation], count) << operation;
    });
}

TEST_F(ObservedBackendTest, FailuresAreCountedAndUnchanged) {
    test::on_fiber([&](Fiber& fiber) {
        const auto refused = failures(Failure::auth);
        const auto temporary = failures(Failure::temporary);
        const auto gone = failures(Failure::gone);
        EXPECT_EQ(backend->open(fiber, login("wrong")).error().code, Errc::auth);
        EXPECT_EQ(failures(Failure::auth), refused + 1);

        auto mailbox = backend->open(fiber, login());
        ASSERT_TRUE(mailbox);
        auto& open = **mailbox;
        const auto messages = open.list({})->messages;
        faults->call = 0;
        const auto status = open.keep_alive();
        ASSERT_TRUE(status.has_error());
        EXPECT_EQ(status.error().text, faults->error.text);
        EXPECT_EQ(status.error().detail, faults->error.detail);
        EXPECT_EQ(failures(Failure::temporary), temporary + 1);

        faults->removals = 1;
        const auto report = open.remove({messages[0], messages[1]});
        EXPECT_EQ(report.outcomes, (std::vector{Removal::removed, Removal::failed}));
        EXPECT_TRUE(report.status.has_error());
        EXPECT_EQ(failures(Failure::temporary), temporary + 2);

        StringSink sink;
        EXPECT_EQ(open.fetch(messages[0], sink).error().code, Errc::gone);
        EXPECT_EQ(failures(Failure::gone), gone + 1);
    });
}

TEST_F(ObservedBackendTest, ASinkThatWantsNoMoreIsNoFailure) {
    test::on_fiber([&](Fiber& fiber) {
        auto mailbox = backend->open(fiber, login());
        ASSERT_TRUE(mailbox);
        const auto messages = (*mailbox)->list({})->messages;
        const auto before = metrics::upstream_failures.total();
        StringSink sink;
        sink.wanted = 1;
        EXPECT_EQ((*mailbox)->fetch(messages[0], sink).error().code, Errc::sink_closed);
        EXPECT_EQ(metrics::upstream_failures.total(), before);
    });
}

// A client behind a modem must not make the upstream look slow.
TEST_F(ObservedBackendTest, TheClientsTimeIsNotTheUpstreams) {
    test::on_fiber([&](Fiber& fiber) {
        auto mailbox = backend->open(fiber, login());
        ASSERT_TRUE(mailbox);
        const auto messages = (*mailbox)->list({})->messages;
        const auto before = calls("fetch", "sum");
        const auto begun = Clock::now();
        StringSink sink(&fiber);
        EXPECT_TRUE((*mailbox)->fetch(messages[0], sink));
        const std::chrono::duration<double> all = Clock::now() - begun;
        EXPECT_GE(all, 300ms);
        EXPECT_LE(calls("fetch", "sum") - before, all.count() - 0.299);
    });
}

}  // namespace
}  // namespace popgate
