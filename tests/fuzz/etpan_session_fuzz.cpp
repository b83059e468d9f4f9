// A hostile IMAP server: the first octet chooses what the client does, the second how it logs in and the pieces; the
// rest is what the server sends, whatever it was asked. The parser is libetpan's, with the guard in front of it.
// libetpan itself is not instrumented, but its memory is, and so is the size of what it allocates.
#include "backends/imap/etpan_session.hpp"
#include "backends/imap/expunge.hpp"
#include "backends/imap/listing.hpp"
#include "backends/mailbox.hpp"
#include "gateway/accounts/secret.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"

#include <algorithm>

// What libetpan's parsers lose of malformed responses is bounded by the guard, and not ours to mend.
extern "C" const char* __lsan_default_suppressions() { return "leak:libetpan.so\n"; }

namespace {

using namespace popgate;

class HostileTransport final : public imap::Transport {
public:
    HostileTransport(std::string_view octets, std::size_t piece) : octets_(octets), piece_(piece) {}
    std::size_t read(char* data, std::size_t size) noexcept override {
        const auto count = std::min({octets_.size(), size, piece_});
        std::copy_n(octets_.begin(), count, data);
        octets_.remove_prefix(count);
        return count;
    }
    bool write(std::string_view) noexcept override { return true; }
    std::string failure() const override { return "no more input"; }

private:
    std::string_view octets_;
    std::size_t piece_;
};

class CountingSink final : public BodySink {
public:
    bool write(std::string_view octets) noexcept override {
        count += octets.size();
        return true;
    }
    std::uint64_t count = 0;
};

void fetch(imap::EtpanSession& session, std::optional<imap::EtpanSession::Part> part) {
    CountingSink sink;
    std::uint64_t received = 0;
    const auto status = session.fetch_body(42, part, sink, received);
    FUZZ_CHECK(received == sink.count);
    FUZZ_CHECK(!status.has_error() || status.error().code == Errc::temporary || status.error().code == Errc::gone);
}

/// Only what was asked for, and not too much of it.
void fetch_ahead(imap::EtpanSession& session) {
    if (session.begin_ahead({41, 42, 50}, 1000).has_error()) return;
    const auto bodies = session.finish_ahead();
    FUZZ_CHECK(session.ahead().empty());
    if (!bodies) return;
    std::size_t octets = 0;
    for (const auto& body : *bodies) {
        FUZZ_CHECK(body.uid == 41 || body.uid == 42 || body.uid == 50);
        octets += body.octets.size();
    }
    FUZZ_CHECK(bodies->size() <= 3 && octets <= 1000);
}

/// False when it was refused, without a word of the secret.
bool log_in(imap::EtpanSession& session, unsigned manner, const std::string& user) {
    const Secret secret("s3cret-t0ken.abcdef");
    const auto status = manner == 0   ? session.login(user, secret)
                        : manner == 1 ? session.login_as(user, "master", secret)
                                      : session.login_with_token(user, secret, "imap.example.com", "993");
    if (!status.has_error()) return true;
    const auto& error = status.error();
    FUZZ_CHECK(error.code == Errc::auth || error.code == Errc::temporary || error.code == Errc::permanent);
    if (error.code == Errc::auth) FUZZ_CHECK((error.text + error.detail).find(secret.reveal()) == std::string::npos);
    return false;
}

/// A listing from nothing or from a known state, with each message once and in order, or an error.
void look(imap::EtpanSession& session, unsigned choice) {
    KnownMailbox known;
    if (choice & 128) {
        known.state = imap::to_text({1, 43, 5});
        for (const auto* uid : {"7", "9", "42"})
            known.messages.push_back({.id = uid, .octets = 100, .octets_are_exact = true});
    }
    const auto listing = imap::Look(session, "INBOX", nullptr, std::move(known)).list();
    if (!listing) {
        FUZZ_CHECK(listing.error().code == Errc::temporary || listing.error().code == Errc::permanent);
        return;
    }
    std::uint32_t last = 0;
    for (const auto& message : listing->messages) {
        FUZZ_CHECK(imap::uid_of(message) > last);
        last = imap::uid_of(message);
    }
    const auto state = imap::parse_listing_state(listing->state);
    FUZZ_CHECK(state);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto octets = test::as_text(data, size);
    const auto choice = test::take_octet(octets);
    const auto manner = test::take_octet(octets);
    const std::size_t piece = 1 + std::size_t{manner & 0x3Fu} * 64;
    HostileTransport transport(octets, piece);
    imap::EtpanSession session(transport);

    if (session.read_greeting().has_error()) return 0;
    if (choice & 1 && session.request_start_tls().has_error()) return 0;
    if (!log_in(session, manner >> 6, choice & 2 ? "jos\xE9" : "alice")) return 0;
    session.identify();
    const auto selected = session.select("INBOX");
    if (!selected) FUZZ_CHECK(selected.error().code == Errc::temporary || selected.error().code == Errc::permanent);
    if (choice & 4) look(session, choice);
    if (choice & 8) fetch_ahead(session);
    if (choice & 8) fetch(session, std::nullopt);
    if (choice & 16) fetch(session, imap::EtpanSession::Part{0, 100});
    if (choice & 32) (void)session.search("DELETED");
    if (choice & 64) (void)session.list_folders("LIST \"\" \"*\"");
    (void)session.command("UID STORE 42 +FLAGS.SILENT (\\Deleted)");
    session.say_goodbye();
    return 0;
}
