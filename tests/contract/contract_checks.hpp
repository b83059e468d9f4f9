#pragma once

#include "gateway/accounts/secret.hpp"
#include "tests/contract/mailbox_contract.hpp"
#include "tests/support/on_fiber.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

/// What the cases of the suite have in common.
namespace popgate::test {

/// Keeps what it is given, up to a limit.
class Collector final : public BodySink {
public:
    explicit Collector(std::size_t limit = std::numeric_limits<std::size_t>::max()) : limit_(limit) {}
    bool write(std::string_view octets) noexcept override {
        EXPECT_FALSE(is_closed_) << "a sink that wants no more is given more";
        text += octets;
        is_closed_ = text.size() >= limit_;
        return !is_closed_;
    }
    std::string text;

private:
    std::size_t limit_;
    bool is_closed_ = false;
};

/// With CRLF line ends and a last one; by another road than the encoder goes.
inline std::string as_sent(const std::string& text) {
    std::string sent;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) sent += '\r';
        sent += text[i];
    }
    if (!sent.empty() && sent.back() != '\n') sent += "\r\n";
    return sent;
}

inline std::string message(const std::string& subject, const std::string& body = "text\n") {
    return "From: a@example.com\nSubject: " + subject + "\n\n" + body;
}

/// Opens the mailbox and lists it.
struct Session {
    Session(Fiber& fiber, const MailboxFixture& fixture) {
        auto opened = fixture.backend().open(fiber, fixture.login());
        if (!opened) throw std::runtime_error("open: " + opened.error().text + ": " + opened.error().detail);
        mailbox = std::move(*opened);
        auto listed = mailbox->list({});
        if (!listed) throw std::runtime_error("list: " + listed.error().text + ": " + listed.error().detail);
        messages = std::move(listed->messages);
    }

    std::vector<std::string> ids() const {
        std::vector<std::string> ids;
        for (const auto& info : messages) ids.push_back(mailbox->unique_id(info));
        return ids;
    }

    Result<std::string> fetch(std::size_t index) const {
        Collector collector;
        if (auto status = mailbox->fetch(messages.at(index), collector); !status) return status.error();
        return collector.text;
    }

    std::unique_ptr<Mailbox> mailbox;
    std::vector<MessageInfo> messages;
};

inline testing::AssertionResult is_good(const Status& status) {
    if (status) return testing::AssertionSuccess();
    return testing::AssertionFailure() << status.error().text << ": " << status.error().detail;
}

/// The message is there, and whole.
inline testing::AssertionResult gives(const Session& session, std::size_t index, const std::string& expected) {
    const auto got = session.fetch(index);
    if (!got) return is_good(got.error());
    if (as_sent(*got) == as_sent(expected)) return testing::AssertionSuccess();
    return testing::AssertionFailure() << "message " << index << ": " << got->size() << " octets instead of "
                                       << expected.size() << ", beginning: " << got->substr(0, 200);
}

inline testing::AssertionResult is_gone(const Session& session, std::size_t index) {
    const auto got = session.fetch(index);
    if (got) return testing::AssertionFailure() << "message " << index << " is still there";
    if (got.error().code != Errc::gone) return testing::AssertionFailure() << "not gone, but: " << got.error().text;
    return testing::AssertionSuccess();
}

/// Another client has removed it: gone, or still whole where the store gives it even so.
inline testing::AssertionResult is_gone_or_whole(const Session& session, std::size_t index, const std::string& stored,
                                                 const MailboxFixture& fixture) {
    if (fixture.gives_what_was_removed() && gives(session, index, stored)) return testing::AssertionSuccess();
    return is_gone(session, index);
}

/// All went well, with these outcomes.
inline testing::AssertionResult reports(const Mailbox::RemovalReport& report, std::vector<Removal> expected,
                                        const MailboxFixture& fixture) {
    if (!report.status) return is_good(report.status);
    auto outcomes = report.outcomes;
    if (!fixture.tells_gone_from_removed())
        for (auto* list : {&outcomes, &expected})
            std::replace(list->begin(), list->end(), Removal::gone, Removal::removed);
    if (outcomes == expected) return testing::AssertionSuccess();
    return testing::AssertionFailure() << testing::PrintToString(outcomes) << " instead of "
                                       << testing::PrintToString(expected);
}

#define POPGATE_WITH_FIXTURE(name)                                                 \
    const auto name##_owner = GetParam().make();                                   \
    ASSERT_TRUE(name##_owner) << "its server cannot be started: is it installed?"; \
    MailboxFixture& name = *name##_owner

}  // namespace popgate::test
