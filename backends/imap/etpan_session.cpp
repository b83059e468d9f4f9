#include "backends/imap/etpan_session.hpp"

#include "backends/imap/sasl_messages.hpp"
#include "backends/imap/throttling.hpp"
#include "backends/mailbox.hpp"

#include <libetpan/libetpan.h>

#include <algorithm>
#include <cstdlib>
#include <new>

namespace popgate::imap {

namespace {

// libetpan's, one for each direction. What the guard lets pass is short, and a literal is read past it.
constexpr std::size_t etpan_buffer_size = 256;
// Larger than any answer to a command but a listing or a body.
constexpr std::size_t read_size = 4096;
constexpr std::size_t read_size_of_many = 16 * 1024;  // while much is to come
constexpr std::size_t kept_buffer = 1024;

bool is_printable_ascii(std::string_view text) {
    return std::ranges::all_of(text, [](unsigned char c) { return c >= 0x20 && c < 0x7F; });
}

bool has_controls(std::string_view text) {
    return std::ranges::any_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

bool contains(std::string_view text, std::string_view upper_case_word) {
    const auto upper = [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; };
    return std::search(text.begin(), text.end(), upper_case_word.begin(), upper_case_word.end(),
                       [&](char a, char b) { return upper(a) == b; }) != text.end();
}

// Response codes of RFC 3501 and RFC 5530 first; what servers say without a code is guessed from well-known words, and
// only towards "temporary", so that nobody is asked for a password again because of a busy server.
bool is_temporary_refusal(std::string_view complaint) {
    for (const auto code : {"[AUTHENTICATIONFAILED]", "[AUTHORIZATIONFAILED]", "[EXPIRED]"})
        if (contains(complaint, code)) return false;
    for (const auto word :
         {"[UNAVAILABLE]", "[INUSE]", "[LIMIT]", "[SERVERBUG]", "[CONTACTADMIN]", "[OVERQUOTA]", "TEMPORAR",
          "TRY AGAIN", "TOO MANY", "THROTTL", "UNAVAILABLE", "RATE LIMIT", "INTERNAL ERROR", "TIMEOUT", "TIMED OUT"})
        if (contains(complaint, word)) return true;
    return false;
}

std::string in_quotes(std::string_view text) {
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') quoted += '\\';
        quoted += c;
    }
    return quoted + "\"";
}

void ignore_progress(std::size_t, std::size_t, void*) {}

template <class Visit>
void for_each_static(mailimap_msg_att* attributes, Visit visit) {
    for (clistiter* i = clist_begin(attributes->att_list); i; i = clist_next(i)) {
        const auto* item = static_cast<mailimap_msg_att_item*>(clist_content(i));
        if (item->att_type == MAILIMAP_MSG_ATT_ITEM_STATIC) visit(*item->att_data.att_static);
    }
}

}  // namespace

// The lower half of libetpan's stream. Its parser sees what the guard lets pass.
struct EtpanSession::Driver {
    static EtpanSession& session(mailstream_low* low) { return *static_cast<EtpanSession*>(low->data); }

    static ssize_t read(mailstream_low* low, void* data, std::size_t size) noexcept {
        auto& self = session(low);
        std::size_t count = 0;
        if (self.passed_.empty() && self.guard_.body_left() > 0) {
            size = static_cast<std::size_t>(std::min<std::uint64_t>(size, self.guard_.body_left()));
            count = self.read_body(static_cast<char*>(data), size);
        } else {
            while (self.passed_.empty())
                if (!self.fill()) return -1;
            count = self.passed_.copy(static_cast<char*>(data), size);
            self.passed_.erase(0, count);
        }
        return count > 0 ? static_cast<ssize_t>(count) : -1;
    }
    static ssize_t write(mailstream_low* low, const void* data, std::size_t size) {
        auto& self = session(low);
        if (!self.broken_ && self.transport_.write({static_cast<const char*>(data), size}))
            return static_cast<ssize_t>(size);
        self.broken_ = true;
        return -1;
    }
    static int close(mailstream_low*) { return 0; }
    static int get_fd(mailstream_low*) { return -1; }
    static void free(mailstream_low* low) { std::free(low); }
    static void cancel(mailstream_low*) {}

    static mailstream_low_driver* table() {
        static mailstream_low_driver driver = {read,    write,   close,   get_fd,  free,   cancel,
                                               nullptr, nullptr, nullptr, nullptr, nullptr};
        return &driver;
    }
};

struct EtpanSession::BodyRequest {
    BodySink& sink;
    std::uint32_t uid;
    std::optional<Part> part;  // when the sink has closed: of a part, read on, of the whole, give up
    std::uint64_t received = 0;
    unsigned bodies = 0;
    bool is_nil = false;
    bool other_uid = false;
    bool other_part = false;
    bool sink_closed = false;
};

// Whose UID may come behind its octets.
struct EtpanSession::BodiesRequest {
    std::vector<Body>& bodies;
    std::uint64_t octets_left;
    std::string octets;
    bool is_too_much = false;
};

EtpanSession::EtpanSession(Transport& transport) : transport_(transport) {
    imap_ = mailimap_new(0, nullptr);
    mailstream_low* low = imap_ ? mailstream_low_new(this, Driver::table()) : nullptr;
    mailstream* stream = low ? mailstream_new(low, etpan_buffer_size) : nullptr;
    if (!stream) {
        std::free(low);
        if (imap_) mailimap_free(imap_);
        throw std::bad_alloc();
    }
    // mailimap_connect() would read the greeting with a parser context of null, which a quoted string in it makes
    // crash; so the stream is put in place by hand and the greeting read here.
    imap_->imap_stream = stream;
    imap_->imap_state = MAILIMAP_STATE_NON_AUTHENTICATED;
}

EtpanSession::~EtpanSession() {
    // mailimap_free() would send LOGOUT and wait: not in a destructor.
    mailstream_close(imap_->imap_stream);
    imap_->imap_stream = nullptr;
    mailimap_free(imap_);
}

bool EtpanSession::fill() try {
    if (unguarded_.empty() && !broken_) {
        read_.resize(ahead_.empty() && !flows_ ? read_size : read_size_of_many);
        unguarded_ = {read_.data(), transport_.read(read_.data(), read_.size())};
        flows_ = unguarded_.size() == read_.size();
    }
    broken_ = broken_ || unguarded_.empty() || !guard_.feed(unguarded_, passed_);
    return !broken_;
} catch (const std::bad_alloc&) {
    broken_ = true;
    return false;
}

std::size_t EtpanSession::read_body(char* data, std::size_t size) {
    auto count = unguarded_.copy(data, size);
    unguarded_.remove_prefix(count);
    // The rest goes its way without a copy.
    if (count == 0 && !broken_) count = transport_.read(data, size);
    guard_.passed(count);
    broken_ = broken_ || count == 0;
    return count;
}

Status EtpanSession::fail(std::string reason) {
    broken_ = true;
    return Error{Errc::temporary, "the mail server does not answer as it should", std::move(reason)};
}

Status EtpanSession::refused() const {
    const auto& tagged = guard_.tagged();
    const bool answered = tagged.starts_with("NO") || tagged.starts_with("BAD");
    const auto& said = answered ? tagged : guard_.complaint();
    auto pause = asked_pause(said);
    if (!pause && guard_.said_bye()) pause = asked_pause(guard_.bye());
    if (pause) transport_.throttled(*pause);
    return Error{Errc::temporary, "the mail server says: " + said, {}};
}

Status EtpanSession::outcome(int code) {
    trim();
    if (code == MAILIMAP_NO_ERROR) return {};
    if (!guard_.reason().empty()) return fail("protocol fault: " + std::string(guard_.reason()));
    if (guard_.said_bye()) {
        broken_ = true;
        return refused();  // by the tagged answer, if there was time for one
    }
    if (broken_) return Error{Errc::temporary, "the connection to the mail server was lost", transport_.failure()};
    // A NO has its own code for each command, and BAD shares one with a wrong tag.
    const bool answered = code != MAILIMAP_ERROR_PARSE && code != MAILIMAP_ERROR_STREAM &&
                          code != MAILIMAP_ERROR_MEMORY && !guard_.complaint().empty();
    if (answered) return refused();
    return fail("libetpan error " + std::to_string(code));
}

// After a listing the buffer would stay as large as its longest window for the whole session.
void EtpanSession::trim() {
    if (unguarded_.empty()) std::string().swap(read_);  // to assign would keep its memory
    if (imap_->imap_stream_buffer->allocated_len <= kept_buffer) return;
    MMAPString* fresh = mmap_string_new("");
    if (!fresh) return;
    mmap_string_free(imap_->imap_stream_buffer);
    imap_->imap_stream_buffer = fresh;
}

bool EtpanSession::has_capability(std::string_view name) const {
    return guard_.capabilities().find(" " + std::string(name) + " ") != std::string::npos;
}

Status EtpanSession::run(const std::string& text, Answer expected) {
    if (auto status = drop_ahead(); status.has_error()) return status;
    guard_.begin_command(expected);
    if (auto status = begin(text); status.has_error()) return status;
    if (mailstream_flush(imap_->imap_stream) < 0) return outcome(MAILIMAP_ERROR_STREAM);
    return read_answer();
}

// Not mailimap_custom_command(): it sends a space behind the command, which strict servers refuse.
Status EtpanSession::begin(const std::string& text) {
    if (broken_) return fail("the connection was lost before");
    trace("> ", text);
    if (const int code = mailimap_send_current_tag(imap_); code != MAILIMAP_NO_ERROR) return outcome(code);
    return send(text) && send("\r\n") ? Status{} : outcome(MAILIMAP_ERROR_STREAM);
}

Status EtpanSession::read_answer() {
    if (std::exchange(identifies_, false)) {
        // The guard looks at both answers as one, since what is untagged may be of either.
        --imap_->imap_tag;
        auto status = mailimap_read_line(imap_) ? read_response() : outcome(MAILIMAP_ERROR_STREAM);
        ++imap_->imap_tag;
        if (broken_) return status;
    }
    auto status = mailimap_read_line(imap_) ? read_response() : outcome(MAILIMAP_ERROR_STREAM);
    trace("< ", status.has_error() ? status.error().text + " " + status.error().detail : guard_.tagged());
    return status;
}

Status EtpanSession::read_bodies(mailimap_msg_att_handler* on_message, mailimap_msg_body_handler* on_octets,
                                 void* request) {
    mailimap_set_progress_callback(imap_, nullptr, ignore_progress, nullptr);
    mailimap_set_msg_att_handler(imap_, on_message, request);
    mailimap_set_msg_body_handler(imap_, on_octets, request);
    auto status = read_answer();
    mailimap_set_msg_body_handler(imap_, nullptr, nullptr);
    mailimap_set_msg_att_handler(imap_, nullptr, nullptr);
    mailimap_set_progress_callback(imap_, nullptr, nullptr, nullptr);
    return status;
}

void EtpanSession::trace(std::string_view direction, std::string_view text) const {
    if (transport_.is_traced()) transport_.trace(std::string(direction).append(text));
}

Status EtpanSession::command(const std::string& text) { return run(text); }

Status EtpanSession::read_greeting() {
    guard_.begin_command(Answer::plain);
    while (guard_.condition().empty())
        if (!fill()) return outcome(MAILIMAP_ERROR_STREAM);
    if (!passed_.empty()) return fail("the greeting is not IMAP's");
    if (guard_.condition() == "OK") return {};
    broken_ = true;
    if (guard_.condition() == "PREAUTH") return fail("PREAUTH: the server logs everybody in by itself");
    return refused();
}

Status EtpanSession::request_start_tls() {
    auto status = learn_capabilities();
    if (status.has_error()) return status;
    if (!has_capability("STARTTLS")) return fail("the server does not offer STARTTLS, and the route requires it");
    status = run("STARTTLS");
    if (status.has_error()) {
        broken_ = true;
        return status;
    }
    if (!guard_.ended_with_tagged_line() || !passed_.empty() || imap_->imap_stream->read_buffer_len > 0)
        return fail("octets injected behind STARTTLS");
    guard_.forget_capabilities();
    return {};
}

Status EtpanSession::learn_capabilities() {
    if (!guard_.capabilities().empty()) return {};
    auto status = run("CAPABILITY");
    if (!status.has_error() && guard_.capabilities().empty()) return fail("no capabilities");
    return status;
}

Status EtpanSession::login(const std::string& user, const Secret& password) {
    auto status = learn_capabilities();
    if (status.has_error()) return status;
    const bool plain = has_capability("AUTH=PLAIN");
    const bool printable = is_printable_ascii(user) && is_printable_ascii(password.reveal());
    if (has_capability("LOGINDISABLED") && !plain)
        return Error{Errc::permanent, "the mail server accepts no password here", {}};

    const bool with_sasl = plain && (!printable || has_capability("LOGINDISABLED"));
    std::vector<Secret> sent;
    sent.emplace_back(password.reveal());
    auto quoted = in_quotes(password.reveal());
    sent.emplace_back(quoted);
    Secret::wipe(quoted);
    sent.push_back(plain_message({}, user, password));
    guard_.begin_command(Answer::plain);
    trace("> ", (with_sasl ? "AUTHENTICATE PLAIN (" : "LOGIN (") + user + ", a password)");
    if (!with_sasl) guard_.forget_capabilities();
    if (with_sasl)
        status = authenticate("PLAIN", sent.back(), {});
    else if (printable)
        status = outcome(mailimap_login(imap_, user.c_str(), password.reveal().c_str()));
    else
        status = login_with_literals(user, password);
    return logged_in(std::move(status), sent);
}

Status EtpanSession::login_as(const std::string& user, const std::string& master_user, const Secret& password) {
    auto status = learn_capabilities();
    if (status.has_error()) return status;
    if (!has_capability("AUTH=PLAIN"))
        return Error{Errc::permanent, "the mail server does not let one user in as another here", "no AUTH=PLAIN"};
    std::vector<Secret> sent;
    sent.emplace_back(password.reveal());
    add_base64_forms(password, sent);
    sent.push_back(plain_message(user, master_user, password));
    guard_.begin_command(Answer::plain);
    trace("> ", "AUTHENTICATE PLAIN (" + master_user + " for " + user + ", a password)");
    return logged_in(authenticate("PLAIN", sent.back(), {}), sent);
}

Status EtpanSession::login_with_token(const std::string& user, const Secret& token, const std::string& host,
                                      const std::string& port) {
    auto status = learn_capabilities();
    if (status.has_error()) return status;
    const bool is_oauthbearer = has_capability("AUTH=OAUTHBEARER");
    if (!is_oauthbearer && !has_capability("AUTH=XOAUTH2"))
        return Error{Errc::permanent, "the mail server takes no OAuth2 tokens here", "neither OAUTHBEARER nor XOAUTH2"};
    // The token goes between two separators.
    if (has_controls(user) || has_controls(token.reveal()))
        return Error{Errc::permanent, "the access token cannot be used", "control characters in user name or token"};
    std::vector<Secret> sent;
    sent.emplace_back(token.reveal());
    add_base64_forms(token, sent);
    sent.push_back(token_message(is_oauthbearer, user, token, host, port));
    guard_.begin_command(Answer::plain);
    trace("> ", std::string("AUTHENTICATE ") + (is_oauthbearer ? "OAUTHBEARER (" : "XOAUTH2 (") + user + ", a token)");
    status = authenticate(is_oauthbearer ? "OAUTHBEARER" : "XOAUTH2", sent.back(), is_oauthbearer ? "AQ==" : "");
    const auto challenge = decoded_challenge(guard_.challenge());
    status = logged_in(std::move(status), sent);
    if (status.has_error() && !challenge.empty() && !gives_away(challenge, sent))
        return Error{status.error().code, status.error().text, status.error().detail + " " + challenge};
    return status;
}

Status EtpanSession::logged_in(Status status, const std::vector<Secret>& sent) {
    if (status.has_error()) {
        auto refusal = login_refusal(std::move(status), sent);
        trace("< ", refusal.error().text + " " + refusal.error().detail);
        return refusal;
    }
    trace("< ", "OK");
    // The list before login need not be the list after it; a server may send the new one by itself, in its OK.
    return learn_capabilities();
}

Status EtpanSession::login_refusal(Status status, const std::vector<Secret>& sent) const {
    const auto& said = guard_.tagged();
    bool hidden = false;
    for (const auto* text : {&said, &guard_.complaint(), &guard_.bye()}) hidden = hidden || gives_away(*text, sent);
    const std::string shown = hidden ? "an answer that holds the password" : said;

    const bool says_wrong = contains(said, "[AUTHENTICATIONFAILED]");
    if (!said.starts_with("NO") || is_temporary_refusal(said) || (!says_wrong && is_temporary_refusal(guard_.bye()))) {
        if (!hidden) return status;
        return Error{Errc::temporary, "the mail server does not take the login now", shown};
    }
    if (contains(said, "[PRIVACYREQUIRED]"))
        return Error{Errc::permanent, "the mail server accepts passwords over TLS only", shown};
    if (contains(said, "[NOPERM]")) return Error{Errc::permanent, "the mail server does not allow this login", shown};
    return Error{Errc::auth, "wrong user name or password", shown};
}

bool EtpanSession::send(std::string_view octets) {
    return mailstream_write(imap_->imap_stream, octets.data(), octets.size()) >= 0;
}

bool EtpanSession::send_line(std::string_view text) {
    return send(text) && send("\r\n") && mailstream_flush(imap_->imap_stream) >= 0;
}

Status EtpanSession::read_response() {
    mailimap_response* response = nullptr;
    const int code = mailimap_parse_response(imap_, &response);
    if (code != MAILIMAP_NO_ERROR) return outcome(code);
    const bool accepted =
        response->rsp_resp_done->rsp_data.rsp_tagged->rsp_cond_state->rsp_type == MAILIMAP_RESP_COND_STATE_OK;
    mailimap_response_free(response);
    return outcome(accepted ? MAILIMAP_NO_ERROR : MAILIMAP_ERROR_CUSTOM_COMMAND);
}

Status EtpanSession::send_and_await_continuation(const std::string& text) {
    const char* const line = send_line(text) ? mailimap_read_line(imap_) : nullptr;
    if (!line) return outcome(MAILIMAP_ERROR_STREAM);
    if (*line == '+') return {};
    // A refusal, or something untagged before it: the parser that knows gets the line that was read.
    auto status = read_response();
    return status.has_error() ? status : fail("no continuation request");
}

Status EtpanSession::finish_line(std::string_view text) {
    if (!send_line(text) || !mailimap_read_line(imap_)) return outcome(MAILIMAP_ERROR_STREAM);
    return read_response();
}

Status EtpanSession::authenticate(std::string_view mechanism, const Secret& response, std::string_view last_word) {
    if (const int code = mailimap_send_current_tag(imap_); code != MAILIMAP_NO_ERROR) return outcome(code);
    const auto command = "AUTHENTICATE " + std::string(mechanism);
    const bool takes_initial_response = has_capability("SASL-IR");
    guard_.forget_capabilities();
    bool sent = false;
    if (takes_initial_response) {
        sent = send(command) && send(" ") && send_line(response.reveal());
    } else {
        if (auto status = send_and_await_continuation(command); status.has_error()) return status;
        sent = send_line(response.reveal());
    }
    const char* const line = sent ? mailimap_read_line(imap_) : nullptr;
    if (!line) return outcome(MAILIMAP_ERROR_STREAM);
    return *line == '+' ? finish_line(last_word) : read_response();
}

// 8-bit octets may not stand in a quoted string (RFC 3501 §4.3), and libetpan sends no literals.
Status EtpanSession::login_with_literals(const std::string& user, const Secret& password) {
    if (const int code = mailimap_send_current_tag(imap_); code != MAILIMAP_NO_ERROR) return outcome(code);
    auto status = send_and_await_continuation("LOGIN {" + std::to_string(user.size()) + "}");
    if (status.has_error()) return status;
    status = send_and_await_continuation(user + " {" + std::to_string(password.reveal().size()) + "}");
    if (status.has_error()) return status;
    return finish_line(password.reveal());
}

void EtpanSession::identify() {
    if (has_capability("ID"))
        identifies_ = !begin("ID (\"name\" \"popgate\" \"version\" \"" POPGATE_VERSION "\")").has_error();
}

Result<bool> EtpanSession::enable_resync() {
    if (resyncs_ || has_selected_) return resyncs_;
    const auto enabled = command("ENABLE QRESYNC");
    if (broken_) return enabled.error();
    resyncs_ = !enabled.has_error();
    return resyncs_;
}

Result<Selected> EtpanSession::select(const std::string& mailbox) {
    has_selected_ = true;
    const auto status = run("SELECT " + in_quotes(mailbox));
    if (status.has_error()) {
        if (broken_) return status.error();
        for (const auto code : {"[NONEXISTENT]", "[TRYCREATE]", "[NOPERM]", "[CANNOT]"})
            if (contains(guard_.complaint(), code))
                return Error{Errc::permanent, "the mailbox cannot be opened", guard_.complaint()};
        return status.error();
    }
    if (!guard_.told_exists() || guard_.uid_validity() == 0)
        return fail("SELECT told neither EXISTS nor UIDVALIDITY").error();
    return Selected{guard_.uid_validity(), guard_.exists(), guard_.uid_next(), guard_.highest_modseq()};
}

Result<std::uint32_t> EtpanSession::ask_uid_next(const std::string& mailbox) {
    const auto status = run("STATUS " + in_quotes(mailbox) + " (UIDNEXT)");
    if (status.has_error()) return status.error();
    return guard_.uid_next();
}

Result<std::vector<ListedMessage>> EtpanSession::list(Numbers numbers, const std::string& set, ListedItems items) {
    std::string text = (numbers == Numbers::uid ? "UID FETCH " : "FETCH ") + set + " (UID RFC822.SIZE";
    if (items.dates) text += " INTERNALDATE";
    if (items.gmail_ids) text += " X-GM-MSGID";
    const auto status = run(text + ")", Answer::listing);
    if (status.has_error()) return status.error();
    return std::move(guard_.listed());
}

bool EtpanSession::on_body(int, mailimap_msg_att_body_section*, const char* octets, std::size_t count, void* context) {
    auto& request = *static_cast<BodyRequest*>(context);
    request.received += count;
    if (!request.sink_closed) request.sink_closed = !request.sink.write({octets, count});
    return !request.sink_closed || request.part.has_value();
}

void EtpanSession::on_fetch(mailimap_msg_att* attributes, void* context) {
    auto& request = *static_cast<BodyRequest*>(context);
    std::uint32_t uid = 0;
    bool has_body = false;
    for_each_static(attributes, [&](const mailimap_msg_att_static& item) {
        if (item.att_type == MAILIMAP_MSG_ATT_UID) uid = item.att_data.att_uid;
        if (item.att_type != MAILIMAP_MSG_ATT_BODY_SECTION) return;
        has_body = true;
        const auto& body = *item.att_data.att_body_section;
        request.is_nil = body.sec_body_part == nullptr;
        request.other_part = body.sec_origin_octet != (request.part ? request.part->offset : 0);
        ++request.bodies;
    });
    if (has_body && uid != request.uid) request.other_uid = true;
}

Status EtpanSession::fetch_body(std::uint32_t uid, std::optional<Part> part, BodySink& sink, std::uint64_t& received) {
    received = 0;
    if (auto status = drop_ahead(); status.has_error()) return status;
    std::string text = "UID FETCH " + std::to_string(uid) + " (UID BODY.PEEK[]";
    if (part) text += "<" + std::to_string(part->offset) + "." + std::to_string(part->length) + ">";
    guard_.begin_command(part ? Answer::part : Answer::body);
    if (auto status = begin(text + ")"); status.has_error()) return status;
    if (mailstream_flush(imap_->imap_stream) < 0) return outcome(MAILIMAP_ERROR_STREAM);
    BodyRequest request{sink, uid, part};
    auto status = read_bodies(on_fetch, on_body, &request);

    received = request.received;
    if (request.sink_closed && !part) {
        broken_ = true;
        return Error{Errc::sink_closed, "no more is wanted", {}};
    }
    if (status.has_error()) {
        if (!broken_ && contains(guard_.complaint(), "[EXPUNGEISSUED]"))
            return Error{Errc::gone, "the message is gone", {}};
        return status;
    }
    if (request.other_uid || request.other_part || request.bodies > 1)
        return fail("the server sent a message that was not asked for");
    if (request.is_nil && part && part->offset > 0) return {};
    if (request.bodies == 0 || request.is_nil) return Error{Errc::gone, "the message is gone", {}};
    return {};
}

void EtpanSession::on_fetch_ahead(mailimap_msg_att* attributes, void* context) {
    auto& request = *static_cast<BodiesRequest*>(context);
    std::uint32_t uid = 0;
    bool is_whole = false;
    for_each_static(attributes, [&](const mailimap_msg_att_static& item) {
        if (item.att_type == MAILIMAP_MSG_ATT_UID) uid = item.att_data.att_uid;
        if (item.att_type != MAILIMAP_MSG_ATT_BODY_SECTION) return;
        const auto& body = *item.att_data.att_body_section;
        is_whole = body.sec_body_part != nullptr && body.sec_origin_octet == 0;
    });
    auto octets = std::exchange(request.octets, {});
    if (uid != 0 && is_whole) request.bodies.push_back({uid, std::move(octets)});
}

bool EtpanSession::on_body_ahead(int, mailimap_msg_att_body_section*, const char* octets, std::size_t count,
                                 void* context) {
    auto& request = *static_cast<BodiesRequest*>(context);
    request.is_too_much = count > request.octets_left;
    if (request.is_too_much) return false;
    request.octets_left -= count;
    try {
        request.octets.append(octets, count);
    } catch (const std::bad_alloc&) {  // there is C on the stack
        return false;
    }
    return true;
}

Status EtpanSession::begin_ahead(std::vector<std::uint32_t> uids, std::uint64_t octets) {
    if (auto status = drop_ahead(); status.has_error()) return status;
    // A server may run commands side by side (RFC 3501 §5.5), so there is one for all of them, and it goes alone.
    if (auto status = begin("UID FETCH " + make_uid_sets(uids).front() + " (UID BODY.PEEK[])"); status.has_error())
        return status;
    if (mailstream_flush(imap_->imap_stream) < 0) return outcome(MAILIMAP_ERROR_STREAM);
    ahead_ = std::move(uids);
    most_ahead_ = octets;
    return {};
}

Result<std::vector<EtpanSession::Body>> EtpanSession::finish_ahead() {
    std::vector<Body> bodies;
    bodies.reserve(ahead_.size());
    BodiesRequest request{bodies, most_ahead_, {}};
    guard_.begin_command(Answer::body, ahead_.size());
    const auto status = read_bodies(on_fetch_ahead, on_body_ahead, &request);
    const auto asked = std::exchange(ahead_, {});
    if (request.is_too_much) return fail("messages are larger than the server has said").error();
    if (status.has_error()) return status.error();
    for (const auto& body : bodies)
        if (std::ranges::find(asked, body.uid) == asked.end())
            return fail("the server sent a message that was not asked for").error();
    return bodies;
}

Status EtpanSession::drop_ahead() {
    if (ahead_.empty()) return {};
    const auto dropped = finish_ahead();
    return broken_ ? Status{dropped.error()} : Status{};
}

Status EtpanSession::command_on(const std::string& text, const std::string& mailbox) {
    return run(text + " " + in_quotes(mailbox));
}

bool EtpanSession::complained_of(std::string_view code) const { return contains(guard_.complaint(), code); }

Result<UidSet> EtpanSession::search(const std::string& criteria) {
    const auto status = run((has_capability("ESEARCH") ? "UID SEARCH RETURN (ALL) " : "UID SEARCH ") + criteria);
    if (status.has_error()) return status.error();
    auto found = guard_.found();
    found.settle();
    return found;
}

Result<UidSet> EtpanSession::vanished_since(const std::string& uids, std::uint64_t modseq) {
    const auto status =
        run("UID FETCH " + uids + " (UID) (CHANGEDSINCE " + std::to_string(modseq) + " VANISHED)", Answer::changes);
    if (status.has_error()) return status.error();
    auto vanished = guard_.vanished();
    vanished.settle();
    return vanished;
}

Result<std::vector<Folder>> EtpanSession::list_folders(const std::string& command) {
    const auto status = run(command, Answer::folders);
    if (status.has_error()) return status.error();
    return std::move(guard_.folders());
}

bool EtpanSession::is_idle() const {
    return !broken_ && ahead_.empty() && !identifies_ && unguarded_.empty() && passed_.empty() &&
           imap_->imap_stream->read_buffer_len == 0;
}

void EtpanSession::say_goodbye() {
    if (!broken_) (void)transport_.write("BYE LOGOUT\r\n");
    broken_ = true;
}

}  // namespace popgate::imap
