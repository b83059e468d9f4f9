#include "gateway/commands/import_uids.hpp"

#include "backends/mailbox.hpp"
#include "gateway/commands/import_plan.hpp"
#include "gateway/commands/import_report.hpp"
#include "gateway/commands/progress.hpp"

#include <chrono>
#include <memory>
#include <utility>

namespace popgate::commands {

namespace {

// What is being written is waited for when the admin interrupts: it is nearly done.
constexpr std::chrono::seconds import_grace{30};

// Of messages in a row whose header cannot be had: then it is the mailbox, and not the message.
constexpr unsigned most_failures = 3;

Error about(const char* where, Error error) {
    error.text = std::string(where) + ": " + error.text;
    return error;
}

Status read_old_headers(Pop3Client& client, Pop3Client::With with, OldMaildrop& maildrop, const Console& console) {
    maildrop.contents.assign(maildrop.messages.size(), {});
    Progress progress("old server", maildrop.messages.size(), console.progress);
    HeaderCollector collector;
    const auto status = client.read_headers(
        maildrop.messages, with,
        [&](std::size_t) -> BodySink& {
            collector = HeaderCollector();
            return collector;
        },
        [&](std::size_t i, bool was_given) {
            maildrop.contents[i].octets = maildrop.messages[i].octets;
            if (was_given) maildrop.contents[i].header = summarise_header(collector.text());
            progress.advance();
        });
    return status.has_error() ? status : client.quit();
}

Result<OldMaildrop> read_old_maildrop(Fiber& fiber, const ImportRequest& request, const Console& console) {
    for (auto with = Pop3Client::With::top;; with = Pop3Client::With::retr) {
        auto client = Pop3Client::log_in(fiber, request.old_server, request.old_user, request.old_password);
        if (client.has_error()) return client.error();
        auto messages = (*client)->list();
        if (messages.has_error()) return messages.error();
        OldMaildrop maildrop{std::move(*messages), {}};
        const auto status = read_old_headers(**client, with, maildrop, console);
        if (status.has_value()) return maildrop;
        // Many replies at once that cannot be told apart: one by one then.
        if (status.error().code != Errc::permanent || with == Pop3Client::With::retr) return status.error();
    }
}

Status read_header(Mailbox& mailbox, const MessageInfo& message, Comparable& content) {
    content.octets = message.octets;
    HeaderCollector collector;
    auto status = mailbox.fetch_top(message, collector);
    if (status.has_value() || status.error().code == Errc::sink_closed) {
        content.header = summarise_header(collector.text());
        return {};
    }
    return status;
}

Result<NewMailbox> read_headers(Mailbox& mailbox, const Console& console) {
    auto listing = mailbox.list({});
    if (listing.has_error()) return listing.error();
    NewMailbox found;
    found.listing = std::move(*listing);
    found.contents.resize(found.listing.messages.size());
    Progress progress("new mailbox", found.contents.size(), console.progress);
    unsigned failures = 0;  // in a row
    for (std::size_t i = 0; i < found.contents.size(); ++i) {
        // A message that cannot be had stays without a header, and so is matched with nothing.
        const auto status = read_header(mailbox, found.listing.messages[i], found.contents[i]);
        failures = status || status.error().code == Errc::gone ? 0 : failures + 1;
        if (failures == most_failures) return status.error();
        progress.advance();
    }
    return found;
}

Result<NewMailbox> read_new_mailbox(Fiber& fiber, const Backend& backend, const ImportRequest& request,
                                    const Console& console) {
    auto mailbox = backend.open(fiber, request.new_login);
    if (mailbox.has_error()) return mailbox.error();
    auto found = read_headers(**mailbox, console);
    (*mailbox)->close();
    return found;
}

/// Whether the new mailbox can be opened, before the admin waits for the old one to be read.
Status try_new_mailbox(Fiber& fiber, const Backend& backend, const ImportRequest& request) {
    auto mailbox = backend.open(fiber, request.new_login);
    if (mailbox.has_error()) return mailbox.error();
    (*mailbox)->close();
    return {};
}

}  // namespace

int import_unique_ids(Fiber& fiber, StateStore& store, const Backend& backend, const ImportRequest& request,
                      Console& console) {
    if (auto status = try_new_mailbox(fiber, backend, request); status.has_error())
        return fail(console, about("the new mailbox", status.error()));
    const auto old_maildrop = read_old_maildrop(fiber, request, console);
    if (old_maildrop.has_error()) return fail(console, about("the old server", old_maildrop.error()));
    const auto new_mailbox = read_new_mailbox(fiber, backend, request, console);
    if (new_mailbox.has_error()) return fail(console, about("the new mailbox", new_mailbox.error()));
    const auto stored = store.load(fiber, request.mailbox.key);
    if (stored.has_error()) return fail(console, stored.error());

    const ImportPlan plan = plan_import(*old_maildrop, *new_mailbox, *stored);
    // Nothing found is no reason to forget what an earlier import has found.
    const bool to_be_written = !request.dry_run && plan.imported > 0;
    if (to_be_written) {
        if (fiber.interrupted()) return fail(console, Error{Errc::temporary, "interrupted: nothing is written", {}});
        const Fiber::Shield shield(fiber, import_grace);
        const auto status =
            store.keep_imported(fiber, request.mailbox.key, new_mailbox->listing.generation, plan.unique_ids);
        if (status.has_error()) return fail(console, status.error());
    }
    report_import(request, *old_maildrop, *new_mailbox, plan, to_be_written, console);
    return plan.complete() ? exit_done : exit_incomplete;
}

}  // namespace popgate::commands
