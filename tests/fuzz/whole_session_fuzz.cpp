// A whole session: what a client says, the real connection, index and IMAP backend, and an IMAP server whose answers
// are changed (see whole_session_script.hpp). The first octet chooses whether the client waits for replies.
//
// However it goes, the session ends, its replies are well-formed, nothing ends in "." that is not whole, an upstream
// that breaks off is no smaller mailbox, and nothing is removed but what was marked before a QUIT.
#include "gateway/accounts/accounts.hpp"
#include "gateway/net/blocking_call.hpp"
#include "gateway/net/connection.hpp"
#include "gateway/observe/log.hpp"
#include "gateway/pop3/command.hpp"
#include "tests/fuzz/changing_upstream.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/fuzz/naive_encoder.hpp"
#include "tests/support/memory_state_store.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

// What libetpan's parsers lose of malformed responses is bounded by the guard, and not ours to mend.
extern "C" const char* __lsan_default_suppressions() { return "leak:libetpan.so\n"; }

namespace {

using namespace popgate;
using namespace std::chrono_literals;
using boost::asio::ip::tcp;

const std::vector<std::string>& mails() {
    static const auto made = [] {
        std::string lines;
        for (int i = 0; i < 2000; ++i) lines += ".line " + std::to_string(i) + "\r\n";
        return std::vector<std::string>{"Subject: 1\r\n\r\nbody\r\n", "Subject: 2\r\n\r\n" + lines,
                                        "Subject: 3\r\n\r\n.\r\n..\r\n", "Subject: 4\r\n\r\nno end"};
    }();
    return made;
}

/// What does not change from one session to the next.
struct Process {
    boost::asio::io_context context{1};
    BlockingPool pool{1, 100};
    tcp::acceptor acceptor{context, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0)};
    Config config;

    Process() {
        for (const auto kind : {Blocking::files, Blocking::passwords, Blocking::names, Blocking::state})
            set_blocking_pool(kind, &pool);
        LogConfig quiet;
        quiet.level = LogLevel::error;
        (void)set_up_log(quiet);
        config.limits.bad_commands = 1000;
        RouteConfig route;
        route.backend.url = "imap://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
        route.backend.starttls = StartTls::none;
        route.backend.connect_timeout = route.backend.command_timeout = 2s;
        config.routes.push_back(route);
    }
};

Process& process() {
    static Process only;
    return only;
}

class ScriptedClient {
public:
    ScriptedClient(const test::WholeSessionScript& script, bool waits) : script_(script), waits_(waits) {}

    void run(Fiber& fiber, tcp::socket socket) {
        Stream stream(fiber, std::move(socket));
        std::string burst;
        for (const auto& command : commands()) {
            burst += command + "\r\n";
            if (!waits_) continue;
            if (!send(stream, burst)) break;
            burst.clear();
            if (!receive(stream)) break;
        }
        if (send(stream, burst) && !script_.goes_away) ::shutdown(descriptor_, SHUT_WR);
        if (script_.goes_away) return stream.abort();
        while (receive(stream)) {
        }
        stream.close(0ms);
    }

    std::vector<std::string> commands() const {
        std::vector<std::string> all{"USER u", "PASS p"};
        for (const auto& command : script_.commands)
            if (pop3::command_name(command) != "AUTH") all.push_back(command);  // session_fuzz knows exchanges
        return all;
    }
    const std::string& received() const { return received_; }
    void set_descriptor(int descriptor) { descriptor_ = descriptor; }

private:
    static bool send(Stream& stream, const std::string& octets) { return octets.empty() || !stream.write(octets, 5s); }
    bool receive(Stream& stream) {
        char octets[65536];
        boost::system::error_code error;
        const auto count = stream.read_some(octets, sizeof octets, 30s, error);
        FUZZ_CHECK(error != boost::asio::error::timed_out);
        received_.append(octets, count);
        return !error;
    }

    const test::WholeSessionScript& script_;
    bool waits_;
    int descriptor_ = -1;
    std::string received_;
};

bool is_multiline(const pop3::Command& command) {
    using pop3::Verb;
    switch (command.verb) {
        case Verb::capa:
        case Verb::retr:
        case Verb::top: return true;
        case Verb::list:
        case Verb::uidl: return !command.number;
        case Verb::lang: return command.text.empty();
        default: return false;
    }
}

/// A message, or the top of it, as it goes over the wire.
std::string sent_as(const std::string& mail, const pop3::Command& command) {
    const auto lines = command.verb == pop3::Verb::top ? std::optional<std::uint64_t>(command.lines) : std::nullopt;
    return test::encode_naively(mail, lines).text;
}

/// Reads what the client got, reply by reply.
class Transcript {
public:
    Transcript(std::string_view received, bool is_whole, bool is_truthful, bool only_cuts)
        : rest_(received), is_whole_(is_whole), is_truthful_(is_truthful), only_cuts_(only_cuts) {}

    void check(const std::vector<std::string>& commands) {
        status_line();
        for (const auto& line : commands) {
            if (rest_.empty()) return;
            const auto status = status_line();
            if (status.empty()) return;
            const auto parsed = pop3::parse_command(line);
            const auto* command = std::get_if<pop3::Command>(&parsed);
            if (!status.starts_with("+OK")) continue;
            FUZZ_CHECK(command);
            if (command->verb == pop3::Verb::dele) ++marked;
            if (command->verb == pop3::Verb::quit) quit_said_well = true;
            if (command->verb == pop3::Verb::stat && only_cuts_ && marked == 0)
                FUZZ_CHECK(status.starts_with("+OK " + std::to_string(mails().size()) + " "));
            if (is_multiline(*command) && !body(*command)) return;
        }
        FUZZ_CHECK(rest_.empty() || !is_whole_);
    }

    std::size_t marked = 0;
    bool quit_said_well = false;

private:
    std::string_view status_line() {
        const auto end = rest_.find("\r\n");
        if (end == rest_.npos) {
            FUZZ_CHECK(!is_whole_);
            return rest_ = {};
        }
        FUZZ_CHECK(end + 2 <= 512);
        const auto line = rest_.substr(0, end);
        rest_.remove_prefix(end + 2);
        FUZZ_CHECK(line.starts_with("+OK") || line.starts_with("-ERR "));
        for (const unsigned char c : line) FUZZ_CHECK(c >= 0x20 && c != 0x7F);
        return line;
    }

    /// False when it breaks off, and so does all.
    bool body(const pop3::Command& command) {
        const auto at = rest_.starts_with(".\r\n") ? 0 : rest_.find("\r\n.\r\n");
        if (at == rest_.npos) return false;
        const auto length = at == 0 && rest_.starts_with(".\r\n") ? 3 : at + 5;
        const auto got = rest_.substr(0, length);
        rest_.remove_prefix(length);
        using pop3::Verb;
        if (is_truthful_ && (command.verb == Verb::retr || command.verb == Verb::top)) {
            bool is_one_of_them = false;
            for (const auto& mail : mails()) is_one_of_them = is_one_of_them || got == sent_as(mail, command);
            FUZZ_CHECK(is_one_of_them);
        }
        return true;
    }

    std::string_view rest_;
    bool is_whole_;
    bool is_truthful_;
    bool only_cuts_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto input = test::as_text(data, size);
    const bool waits = test::take_octet(input) & 1;
    const auto script = test::WholeSessionScript::parse(input);
    auto& here = process();
    here.context.restart();

    test::TameImap mailbox;
    for (const auto& mail : mails()) mailbox.deliver(std::make_shared<const std::string>(mail));
    test::ChangingUpstream upstream(here.acceptor, here.context, mailbox, script.changes);

    test::MemoryStateStore store;
    const auto accounts = Accounts::make(here.config, store);
    FUZZ_CHECK(!accounts.has_error());
    AccountSessions account_sessions;
    Admission admission({100, 100, 100});
    Traces traces;
    IndexBuilds builds(store);
    const Services services{here.config, (*accounts)->authenticator, account_sessions, admission, traces, store,
                            builds};
    const ListenerInfo listener{{"127.0.0.1:0", TlsMode::none}, "127.0.0.1:0", nullptr, {}};

    int pair[2];
    FUZZ_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    bool has_ended = false;
    const auto failed = [](const std::exception&) { FUZZ_CHECK(!"an exception left a fiber"); };
    Fiber::start(
        here.context,
        [&](Fiber& fiber) {
            tcp::socket socket(here.context, tcp::v4(), pair[0]);
            Client client;
            client.endpoint = {boost::asio::ip::address_v4::loopback(), 1};
            Connection(services, listener, fiber, std::move(socket), client).run();
            has_ended = true;
            upstream.stop();
        },
        failed);
    ScriptedClient client(script, waits);
    client.set_descriptor(pair[1]);
    Fiber::start(
        here.context, [&](Fiber& fiber) { client.run(fiber, tcp::socket(here.context, tcp::v4(), pair[1])); }, failed);
    here.context.run();
    FUZZ_CHECK(has_ended);

    bool only_cuts = true;
    for (const auto& change : script.changes)
        only_cuts = only_cuts && (change.kind == test::Change::Kind::none || change.kind == test::Change::Kind::cut ||
                                  change.kind == test::Change::Kind::hang_up);
    Transcript transcript(client.received(), !script.goes_away, upstream.is_truthful(), only_cuts);
    transcript.check(client.commands());
    // The numbers of messages are their UIDs here, as far as the upstream did not lie about these.
    std::set<std::uint32_t> deleted;
    std::size_t deletions = 0;
    bool said_quit = false;
    for (const auto& line : client.commands()) {
        const auto parsed = pop3::parse_command(line);
        const auto* command = std::get_if<pop3::Command>(&parsed);
        said_quit = said_quit || (command && command->verb == pop3::Verb::quit);
        if (said_quit || !command || command->verb != pop3::Verb::dele) continue;
        ++deletions;
        deleted.insert(static_cast<std::uint32_t>(std::min<std::uint64_t>(*command->number, UINT32_MAX)));
    }
    FUZZ_CHECK(mailbox.removed().empty() || said_quit);
    FUZZ_CHECK(mailbox.removed().size() <= deletions);
    for (const auto uid : mailbox.removed()) FUZZ_CHECK(deleted.count(uid) > 0 || !upstream.is_truthful());
    return 0;
}
