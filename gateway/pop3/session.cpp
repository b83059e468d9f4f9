#include "gateway/pop3/session.hpp"

#include "gateway/pop3/command_rules.hpp"
#include "gateway/pop3/digest.hpp"

#include <algorithm>
#include <utility>

namespace popgate::pop3 {

namespace {

// No server's account name is longer, and logs and locks are keyed by it.
constexpr std::size_t longest_user = 320;

bool has_line_breaks_or_nul(std::string_view text) {
    return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

}  // namespace

Expiry expiry_of(const std::optional<std::chrono::milliseconds>& expire_after) {
    if (!expire_after) return {};
    return {static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::days>(*expire_after).count()), false};
}

LoginDelay login_delay_of(const std::optional<std::chrono::milliseconds>& delay) {
    if (!delay) return {};
    return {static_cast<std::uint32_t>(std::chrono::ceil<std::chrono::seconds>(*delay).count()), false};
}

std::string Session::greeting() const {
    auto text = ok(Text::greeting, language_);
    if (policy_.apop) text.insert(text.size() - 2, ' ' + policy_.challenge);
    return text;
}

Action Session::on_line(std::string_view line) {
    if (reply_to_come_) return *std::exchange(reply_to_come_, std::nullopt);
    if (sasl_) {
        auto step = sasl_->on_response(line);
        return on_sasl(std::move(step));
    }
    const auto parsed = parse_command(line);
    if (const auto* fault = std::get_if<CommandFault>(&parsed)) return on_fault(*fault);
    return on_command(std::get<Command>(parsed));
}

Action Session::on_overlong_line() {
    sasl_.reset();
    if (reply_to_come_) return *std::exchange(reply_to_come_, std::nullopt);
    return bad(err("", Text::line_too_long, language_));
}

Action Session::on_fault(CommandFault fault) {
    switch (fault) {
        case CommandFault::unknown: return bad(err("", Text::unknown_command, language_));
        case CommandFault::bad_arguments: return bad(err("", Text::bad_arguments, language_));
        case CommandFault::bad_number: return bad(err("", Text::bad_number, language_));
        case CommandFault::bad_characters: return bad(err("", Text::bad_characters, language_));
        case CommandFault::foreign: break;
    }
    return SendReply{err("", Text::other_protocol, language_), true};
}

// Before login a stranger has few tries; afterwards a client's slips cost it nothing but the reply.
Action Session::bad(std::string reply) {
    if (logged_in() || ++bad_commands_ < policy_.bad_commands) return SendReply{std::move(reply)};
    return SendReply{err("", Text::too_many_bad_commands, language_), true};
}

Action Session::on_command(const Command& command) {
    const auto& rule = rule_of(command.verb);
    if (logged_in() ? !rule.after_login : !rule.before_login)
        return bad(err("", logged_in() ? Text::not_after_login : Text::not_before_login, language_));

    if (command.number) {
        if (!maildrop_->exists(*command.number)) return SendReply{err("", Text::no_such_message, language_)};
        if (maildrop_->is_marked(*command.number)) return SendReply{err("", Text::message_deleted, language_)};
    }
    switch (command.verb) {
        case Verb::user:
        case Verb::pass:
        case Verb::auth: return on_login_command(command);
        case Verb::apop:
            if (!policy_.apop) return bad(err("", Text::unknown_command, language_));
            return on_login_command(command);
        case Verb::rpop:
            if (!policy_.rpop) return bad(err("", Text::unknown_command, language_));
            return on_login_command(command);
        case Verb::stls:
            if (tls_active_) return bad(err("", Text::tls_already, language_));
            if (!policy_.tls_offered) return bad(err("", Text::tls_not_offered, language_));
            return StartTls{};
        case Verb::capa: return SendReply{capabilities()};
        case Verb::stat:
            return SendReply{"+OK " + std::to_string(maildrop_->count_left()) + " " +
                             std::to_string(maildrop_->octets_left()) + "\r\n"};
        case Verb::list:
        case Verb::uidl: {
            const bool unique_ids = command.verb == Verb::uidl;
            if (!command.number) return SendScanList{unique_ids};
            const auto number = *command.number;
            return SendReply{
                "+OK " + std::to_string(number) + " " +
                (unique_ids ? maildrop_->unique_id(number) : std::to_string(maildrop_->message(number).octets)) +
                "\r\n"};
        }
        case Verb::retr: return SendBody{*command.number, std::nullopt};
        case Verb::top: return SendBody{*command.number, command.lines};
        case Verb::dele:
            if (maildrop_->is_read_only()) return SendReply{err("SYS/TEMP", Text::read_only, language_)};
            if (!maildrop_->may_be_marked(*command.number)) return SendReply{err("", Text::not_retrieved, language_)};
            maildrop_->mark(*command.number);
            return SendReply{ok(Text::marked, language_)};
        case Verb::rset:
            maildrop_->unmark_all();
            return SendReply{ok(Text::all_unmarked, language_, {maildrop_->count_left(), maildrop_->octets_left()})};
        case Verb::noop: return SendReply{ok(Text::still_here, language_)};
        case Verb::utf8: return SendReply{ok(Text::utf8_enabled, language_)};
        case Verb::lang: return on_language(command.text);
        case Verb::quit: break;
    }
    if (logged_in()) return CommitAndQuit{};
    return SendReply{ok(Text::bye, language_), true};
}

Action Session::on_login_command(const Command& command) {
    if (command.verb == Verb::auth && command.text.empty()) {
        // RFC 5034 has no such form, but old Outlooks ask with it before they log in.
        std::string reply = ok(Text::mechanisms, language_);
        if (may_log_in())
            for (const auto mechanism : mechanisms()) reply += std::string(name_of(mechanism)) + "\r\n";
        return SendReply{reply + ".\r\n"};
    }
    if (!may_log_in()) return bad(err("", Text::tls_first, language_));
    switch (command.verb) {
        case Verb::user:
            if (command.text.size() > longest_user) return bad(err("", Text::bad_credentials, language_));
            user_ = command.text;
            return SendReply{ok(Text::send_password, language_)};
        case Verb::pass: {
            if (!user_) return bad(err("", Text::user_first, language_));
            auto user = std::move(*user_);
            user_.reset();
            return authenticate({Proof::Method::password, std::move(user), Secret(command.text), {}});
        }
        case Verb::apop: {
            user_.reset();
            const auto space = command.text.rfind(' ');
            if (space == std::string_view::npos || !is_md5(command.text.substr(space + 1)))
                return bad(err("", Text::bad_arguments, language_));
            return authenticate({Proof::Method::apop, std::string(command.text.substr(0, space)),
                                 Secret(command.text.substr(space + 1)), policy_.challenge});
        }
        case Verb::rpop: {
            if (!user_) return bad(err("", Text::user_first, language_));
            auto user = std::move(*user_);
            user_.reset();
            return authenticate({Proof::Method::trusted_host, std::move(user), {}, {}});
        }
        default: break;
    }
    user_.reset();
    const auto mechanism = find_mechanism(command.text);
    const auto offered = mechanisms();
    if (!mechanism || std::ranges::find(offered, *mechanism) == offered.end())
        return bad(err("", Text::bad_mechanism, language_));
    token_mechanism_.reset();
    if (*mechanism == Mechanism::oauthbearer || *mechanism == Mechanism::xoauth2) token_mechanism_ = mechanism;
    sasl_.emplace(*mechanism, policy_.challenge);
    auto step = sasl_->start(command.initial_response);
    return on_sasl(std::move(step));
}

std::vector<Mechanism> Session::mechanisms() const {
    std::vector<Mechanism> offered;
    if (policy_.passwords) offered = {Mechanism::plain, Mechanism::login};
    if (policy_.cram_md5) offered.push_back(Mechanism::cram_md5);
    if (policy_.certificates && has_certificate_) offered.push_back(Mechanism::external);
    if (policy_.tokens) offered.insert(offered.end(), {Mechanism::oauthbearer, Mechanism::xoauth2});
    return offered;
}

Action Session::on_sasl(SaslExchange::Step step) {
    if (const auto* challenge = std::get_if<SaslExchange::Challenge>(&step))
        return SendReply{"+ " + challenge->base64 + "\r\n"};
    sasl_.reset();
    if (auto* proof = std::get_if<Proof>(&step)) return authenticate(std::move(*proof));
    switch (std::get<SaslExchange::Fault>(step)) {
        case SaslExchange::Fault::cancelled: return bad(err("", Text::cancelled, language_));
        case SaslExchange::Fault::malformed: return bad(err("", Text::bad_base64, language_));
        case SaslExchange::Fault::other_identity: break;
    }
    return bad(err("AUTH", Text::other_identity, language_));
}

Action Session::authenticate(Proof proof) {
    using Method = Proof::Method;
    const auto& [method, user, secret, challenge] = proof;
    if (method != Method::token) token_mechanism_.reset();
    // A certificate says by itself whose it is; a host that is trusted shows nothing. An empty password is an anonymous
    // login to some, and a line break would become a command of its own in a line-based upstream.
    const bool lacks_user = user.empty() && method != Method::certificate;
    const bool lacks_secret =
        secret.reveal().empty() && method != Method::certificate && method != Method::trusted_host;
    if (lacks_user || lacks_secret || user.size() > longest_user || has_line_breaks_or_nul(user) ||
        has_line_breaks_or_nul(secret.reveal()))
        return bad(err("AUTH", Text::bad_credentials, language_));
    return Authenticate{std::move(proof)};
}

Action Session::on_language(std::string_view tag) {
    if (tag.empty()) {
        return SendReply{ok(Text::languages, language_) + "en English\r\nes Español\r\n.\r\n"};
    }
    const auto language = find_language(tag);
    if (!language) return SendReply{err("", Text::no_such_language, language_)};
    language_ = *language;
    return SendReply{ok(Text::language_set, language_)};
}

void Session::tls_started(bool client_has_certificate) {
    tls_active_ = true;
    has_certificate_ = client_has_certificate;
    user_.reset();
    sasl_.reset();
    language_ = Language::english;
}

SendReply Session::login_succeeded(Maildrop maildrop, Expiry expiry, LoginDelay delay) {
    maildrop_ = std::move(maildrop);
    policy_.expiry = expiry;
    policy_.login_delay = delay;
    return {ok(Text::logged_in, language_, {maildrop_->count_left(), maildrop_->octets_left()})};
}

SendReply Session::login_failed(const Error& error) {
    // The cause is what the client must know; that the connection ends it will see.
    SendReply reply{err(error, language_), ++failed_logins_ >= policy_.failed_logins};
    if (!token_mechanism_ || (error.code != Errc::auth && error.code != Errc::sign_in)) return reply;
    reply_to_come_ = std::move(reply);
    return {"+ " + std::string(token_refusal(*token_mechanism_)) + "\r\n"};
}

std::string Session::committed(std::uint64_t to_remove, std::uint64_t failed, std::uint64_t unknown,
                               const Status& status) const {
    // Some of these are still there for certain, but nobody can say how many.
    if (unknown > 0) return err("SYS/TEMP", Text::not_known, language_, {unknown + failed, to_remove});
    // Whoever could remove nothing would try in vain again, and should hear why.
    if (failed > 0 && !status && status.error().code == Errc::permanent) return err(status.error(), language_);
    if (failed > 0) return err("SYS/TEMP", Text::not_removed, language_, {failed, to_remove});
    if (to_remove == 0) return ok(Text::bye, language_);
    return ok(Text::removed, language_, {to_remove, maildrop_->count_left()});
}

std::string Session::capabilities() const {
    std::string reply = ok(Text::capabilities, language_);
    reply += "TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nUTF8 USER\r\nLANG\r\n";
    const auto& expiry = policy_.expiry;
    reply += "EXPIRE " + (expiry.days ? std::to_string(*expiry.days) : "NEVER");
    reply += expiry.depends_on_user ? " USER\r\n" : "\r\n";
    if (const auto& delay = policy_.login_delay; delay.seconds > 0)
        reply += "LOGIN-DELAY " + std::to_string(delay.seconds) + (delay.depends_on_user ? " USER\r\n" : "\r\n");
    if (may_log_in() && policy_.passwords) reply += "USER\r\n";
    if (const auto offered = mechanisms(); may_log_in() && !offered.empty()) {
        reply += "SASL";
        for (const auto mechanism : offered) reply += ' ' + std::string(name_of(mechanism));
        reply += "\r\n";
    }
    if (policy_.tls_offered && !tls_active_ && !logged_in()) reply += "STLS\r\n";
    return reply + "IMPLEMENTATION popgate-" POPGATE_VERSION "\r\n.\r\n";
}

}  // namespace popgate::pop3
