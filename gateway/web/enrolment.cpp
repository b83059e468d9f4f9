#include "gateway/web/enrolment.hpp"

#include "backends/ascii.hpp"
#include "gateway/observe/log.hpp"
#include "gateway/web/html.hpp"
#include "gateway/web/texts.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace popgate::web {

namespace {

constexpr std::size_t longest_label = 60;

constexpr std::string_view session_cookie = "popgate-session";
constexpr std::string_view browser_cookie = "popgate-browser";
constexpr std::string_view language_cookie = "popgate-language";
constexpr std::string_view as_session = "; HttpOnly; SameSite=Lax";
constexpr std::string_view for_a_year = "; SameSite=Lax; Max-Age=31536000";

constexpr std::array<std::string_view, 6> pages = {"/",           "/callback",     "/devices",
                                                   "/revoke-all", "/new-password", "/style.css"};
constexpr std::array<std::string_view, 5> forms = {"/sign-in", "/devices", "/revoke", "/revoke-all", "/sign-out"};

bool is_among(const auto& paths, std::string_view path) { return std::ranges::find(paths, path) != paths.end(); }

}  // namespace

/// One request, and what is known of who sends it.
struct Enrolment::Visit {
    const Request& request;
    std::string session_id;  ///< of a session that there is, else empty
    std::string browser;     ///< what the browser is known by before it has a session
    Frame frame;
    std::vector<std::string> cookies;  ///< to be set
};

Enrolment::Enrolment(Options options, People& people)
    : options_(std::move(options)),
      people_(people),
      origin_(origin_of(options_.url)),
      https_(origin_.starts_with("https:")) {
    if (options_.url.ends_with('/')) options_.url.pop_back();
}

Response Enrolment::handle(Fiber& fiber, const Request& request) {
    Visit visit{request,
                request.cookies.get(cookie_name(session_cookie)),
                request.cookies.get(cookie_name(browser_cookie)),
                {},
                {}};
    auto& frame = visit.frame;
    const auto asked = request.query.get("lang");
    frame.language = choose_language(asked.empty() ? request.cookies.get(cookie_name(language_cookie)) : asked,
                                     request.header("accept-language"));
    frame.service_name = options_.settings.service_name;
    frame.https = https_;
    // A page of somebody else's whose name leads here must not be talked to.
    if (origin_of((https_ ? "https://" : "http://") + request.header("host")) != origin_)
        return message_page(frame, 421, Text::error_not_found_title, Text::error_not_found_text);

    const auto now = options_.now();
    if (const auto* session = sessions_.find(visit.session_id, now)) {
        frame.user = session->user;
    } else {
        visit.session_id.clear();
    }
    const bool gets = request.method == "GET" || request.method == "HEAD";
    if (gets && is_among(pages, request.path) && request.path != "/callback") frame.path = request.path;
    if (visit.session_id.empty() && visit.browser.empty()) {
        visit.browser = random_token();
        visit.cookies.push_back(cookie(browser_cookie, visit.browser, as_session));
    }
    frame.form_token = tokens_.make(visit.session_id.empty() ? visit.browser : visit.session_id);
    if (!asked.empty()) visit.cookies.push_back(cookie(language_cookie, code_of(frame.language), for_a_year));

    auto response = gets ? get(fiber, visit) : post(fiber, visit);
    for (auto& each : visit.cookies) response.headers.emplace_back("Set-Cookie", std::move(each));
    return response;
}

Response Enrolment::get(Fiber& fiber, Visit& visit) {
    const auto& path = visit.request.path;
    const auto& frame = visit.frame;
    if (!is_among(pages, path)) {
        if (!is_among(forms, path))
            return message_page(frame, 404, Text::error_not_found_title, Text::error_not_found_text);
        auto response = message_page(frame, 405, Text::error_method_title, Text::error_method_text);
        response.headers.emplace_back("Allow", "POST");
        return response;
    }
    if (path == "/style.css") {
        visit.cookies.clear();  // it may be cached
        return style_sheet(https_);
    }
    if (path == "/callback") return callback(fiber, visit);
    if (frame.user.empty()) return path == "/" ? sign_in_page(frame, people_.choices()) : to("/");
    if (path == "/") return to("/devices");
    if (path == "/revoke-all") return revoke_all_page(frame);
    if (path == "/new-password") return new_password(visit);
    return devices(fiber, visit);
}

Response Enrolment::post(Fiber& fiber, Visit& visit) {
    const auto& path = visit.request.path;
    const auto& frame = visit.frame;
    if (visit.request.method != "POST" || !is_among(forms, path)) {
        if (!is_among(forms, path) && !is_among(pages, path))
            return message_page(frame, 404, Text::error_not_found_title, Text::error_not_found_text);
        auto response = message_page(frame, 405, Text::error_method_title, Text::error_method_text);
        response.headers.emplace_back("Allow", is_among(pages, path) ? "GET, HEAD" : "POST");
        return response;
    }
    if (!is_own_form(visit)) {
        log(LogLevel::warning, "form_refused",
            {{"from", visit.request.address}, {"path", path}, {"origin", visit.request.header("origin")}});
        return message_page(frame, 403, Text::error_form_title, Text::error_form_text);
    }
    if (path == "/sign-in") return sign_in(fiber, visit);
    if (frame.user.empty()) return to("/");
    if (path == "/devices") return add_device(fiber, visit);
    if (path == "/revoke") return revoke(fiber, visit, false);
    if (path == "/revoke-all") return revoke(fiber, visit, true);
    sessions_.end(visit.session_id);
    visit.cookies.push_back(cookie(session_cookie, "", "; HttpOnly; SameSite=Lax; Max-Age=0"));
    return to("/");
}

bool Enrolment::is_own_form(const Visit& visit) const {
    const auto& request = visit.request;
    // Old browsers send neither: then the token alone decides.
    if (request.headers.has("sec-fetch-site") && request.header("sec-fetch-site") != "same-origin") return false;
    if (request.headers.has("origin") && origin_of(request.header("origin")) != origin_) return false;
    return tokens_.is_good(visit.session_id.empty() ? visit.browser : visit.session_id, request.form.get("token"));
}

Response Enrolment::sign_in(Fiber& fiber, Visit& visit) {
    if (!rate_.allow(visit.request.address, options_.now())) {
        auto response = message_page(visit.frame, 429, Text::error_too_many_title, Text::error_too_many_text);
        response.headers.emplace_back("Retry-After", "600");
        return response;
    }
    const auto name = visit.request.form.get("provider");
    auto provider = people_.provider(name);
    if (!provider) return message_page(visit.frame, 400, Text::error_form_title, Text::error_form_text);
    PendingSignIns::Pending pending;
    pending.provider = name;
    pending.by = std::move(provider);
    return leave_for(fiber, visit, std::move(pending), {});
}

Response Enrolment::leave_for(Fiber& fiber, Visit& visit, PendingSignIns::Pending pending, const std::string& hint) {
    auto begun = pending.by->begin_browser_flow(fiber, options_.url + "/callback", hint);
    if (!begun) return refusal(visit, begun.error());
    pending.request = std::move(*begun);
    if (visit.browser.empty()) visit.browser = random_token();
    visit.cookies.push_back(cookie(browser_cookie, visit.browser, as_session));
    pending.browser = visit.browser;
    auto url = pending.request.url;
    pending_.add(std::move(pending), options_.now());
    return see_other(std::move(url), https_);
}

Response Enrolment::callback(Fiber& fiber, Visit& visit) {
    const auto& query = visit.request.query;
    // Of this browser and once: else somebody could have his own sign-in finished in another's browser.
    auto pending = pending_.take(query.get("state"), visit.browser, options_.now());
    if (!pending) return message_page(visit.frame, 400, Text::error_expired_title, Text::error_expired_text);
    if (query.has("iss")) {
        // An answer of one provider must not be taken to another one (RFC 9207 §2.4).
        auto issuer = pending->by->issuer(fiber);
        if (!issuer) return refusal(visit, issuer.error());
        if (!issuer->empty() && query.get("iss") != *issuer)
            return message_page(visit.frame, 400, Text::error_declined_title, Text::error_declined_text);
    }
    if (query.has("error") || query.get("code").empty()) {
        log(LogLevel::info, "sign_in_declined",
            {{"from", visit.request.address},
             {"provider", pending->provider},
             {"error", query.get("error")},
             {"description", query.get("error_description")}});
        const bool later = query.get("error") == "temporarily_unavailable" || query.get("error") == "server_error";
        return message_page(
            visit.frame, later ? 503 : 403, later ? Text::error_later_title : Text::error_declined_title,
            later ? Text::error_later_text : Text::error_declined_text, {}, query.get("error_description"));
    }
    return finish(fiber, visit, std::move(*pending));
}

Response Enrolment::finish(Fiber& fiber, Visit& visit, PendingSignIns::Pending pending) {
    auto tokens = pending.by->finish_browser_flow(fiber, pending.request, visit.request.query.get("code"));
    if (!tokens) return refusal(visit, tokens.error());
    oauth::Identity identity;
    if (tokens->identity && !tokens->identity->email.empty()) {
        identity = *tokens->identity;
    } else {
        auto who = pending.by->identify(fiber, tokens->access_token);
        if (!who) return refusal(visit, who.error());
        // The two must be of one person (OpenID Connect Core §5.3.2).
        if (tokens->identity && tokens->identity->subject != who->subject)
            return message_page(visit.frame, 403, Text::error_declined_title, Text::error_declined_text);
        identity = *who;
        if (tokens->identity) identity.issuer = tokens->identity->issuer;
    }
    if (identity.email.empty() || identity.subject.empty())
        return message_page(visit.frame, 403, Text::error_no_mailbox_title, Text::error_nobody_text);
    if (!identity.email_verified)
        return message_page(visit.frame, 403, Text::error_unverified_title, Text::error_unverified_text,
                            identity.email);

    auto welcome = people_.welcome(fiber, pending.provider, pending.by, identity, std::move(*tokens));
    if (!welcome) return trouble(visit, welcome.error());
    using Outcome = People::Welcome::Outcome;
    switch (welcome->outcome) {
        case Outcome::admitted: break;
        case Outcome::other_scopes:
            // Twice would be a circle.
            if (pending.is_second)
                return message_page(visit.frame, 500, Text::error_setup_title, Text::error_setup_text);
            pending.is_second = true;
            pending.by = welcome->provider;
            return leave_for(fiber, visit, std::move(pending), identity.email);
        case Outcome::no_mailbox:
            log(LogLevel::info, "sign_in_without_mailbox",
                {{"from", visit.request.address}, {"provider", pending.provider}, {"email", identity.email}});
            return message_page(visit.frame, 403, Text::error_no_mailbox_title, Text::error_no_mailbox_text,
                                identity.email);
        case Outcome::other_person:
            log(LogLevel::warning, "sign_in_by_another",
                {{"from", visit.request.address}, {"user", welcome->user}, {"subject", identity.subject}});
            return message_page(visit.frame, 403, Text::error_other_person_title, Text::error_other_person_text,
                                welcome->user);
        case Outcome::refused:
            return message_page(visit.frame, 403, Text::error_refused_title, Text::error_refused_text, identity.email);
    }
    log(LogLevel::info, "signed_in",
        {{"from", visit.request.address}, {"user", welcome->user}, {"provider", pending.provider}});
    // A new id, whatever the browser sent: one that was planted before is worth nothing.
    sessions_.end(visit.session_id);
    const auto id = sessions_.begin(welcome->user, options_.now());
    visit.cookies.clear();
    visit.cookies.push_back(cookie(session_cookie, id, as_session));
    visit.cookies.push_back(cookie(browser_cookie, "", "; HttpOnly; SameSite=Lax; Max-Age=0"));
    return to("/devices");
}

Response Enrolment::devices(Fiber& fiber, Visit& visit) {
    auto devices = people_.devices(fiber, visit.frame.user);
    if (!devices) return trouble(visit, devices.error());
    return devices_page(visit.frame, *devices, options_.settings);
}

Response Enrolment::add_device(Fiber& fiber, Visit& visit) {
    auto label = clean_line(visit.request.form.get("label"), longest_label);
    if (label.empty()) label = std::string(text(visit.frame.language, Text::label_default));
    auto password = people_.add_device(fiber, visit.frame.user, label);
    if (!password) return trouble(visit, password.error());
    if (password->reveal().empty())
        return message_page(visit.frame, 409, Text::error_too_many_devices_title, Text::error_too_many_devices_text);
    log(LogLevel::info, "app_password_made",
        {{"from", visit.request.address}, {"user", visit.frame.user}, {"label", label}});
    // Shown by a page of its own, so that a reload makes no second one. The session may have ended meanwhile.
    auto* session = sessions_.find(visit.session_id, options_.now());
    if (!session) return to("/");
    session->new_password = std::move(*password);
    session->new_label = label;
    return to("/new-password");
}

Response Enrolment::new_password(Visit& visit) {
    auto* session = sessions_.find(visit.session_id, options_.now());
    if (!session || session->new_password.reveal().empty()) return password_gone_page(visit.frame);
    // A HEAD must not use it up.
    if (visit.request.method == "HEAD") return {204, {}, {}, {{"Cache-Control", "no-store"}}};
    const auto password = std::exchange(session->new_password, Secret());
    visit.frame.path.clear();
    return new_password_page(visit.frame, session->new_label, password.reveal(), options_.settings);
}

Response Enrolment::revoke(Fiber& fiber, Visit& visit, bool all) {
    const auto id = visit.request.form.get("id");
    if (!all && id.empty()) return message_page(visit.frame, 400, Text::error_form_title, Text::error_form_text);
    if (auto revoked = people_.revoke(fiber, visit.frame.user, all ? std::string() : id); !revoked)
        return trouble(visit, revoked.error());
    log(LogLevel::info, "app_password_revoked",
        {{"from", visit.request.address}, {"user", visit.frame.user}, {"id", all ? "all" : std::string_view(id)}});
    return to("/devices");
}

Response Enrolment::trouble(const Visit& visit, const Error& error) const {
    log(LogLevel::warning, "enrolment_failed",
        {{"path", visit.request.path}, {"user", visit.frame.user}, {"error", error.text}, {"detail", error.detail}});
    if (error.code == Errc::temporary || error.code == Errc::in_use)
        return message_page(visit.frame, 503, Text::error_later_title, Text::error_later_text);
    return message_page(visit.frame, 500, Text::error_setup_title, Text::error_setup_text);
}

Response Enrolment::refusal(const Visit& visit, const oauth::Refusal& refusal) const {
    log(LogLevel::warning, "sign_in_failed",
        {{"from", visit.request.address}, {"error", refusal.text}, {"detail", refusal.detail}, {"code", refusal.code}});
    using Kind = oauth::Refusal::Kind;
    switch (refusal.kind) {
        case Kind::later:
        case Kind::pending: return message_page(visit.frame, 503, Text::error_later_title, Text::error_later_text);
        case Kind::setup: return message_page(visit.frame, 500, Text::error_setup_title, Text::error_setup_text);
        case Kind::sign_in:
        case Kind::declined: break;
    }
    return message_page(visit.frame, 403, Text::error_declined_title, Text::error_declined_text);
}

Response Enrolment::to(std::string_view path) const { return see_other(std::string(path), https_); }

std::string Enrolment::cookie_name(std::string_view name) const {
    // Browsers take it from this host and over TLS alone.
    return (https_ ? "__Host-" : "") + std::string(name);
}

std::string Enrolment::cookie(std::string_view name, std::string_view value, std::string_view more) const {
    auto text = cookie_name(name) + "=" + std::string(value) + "; Path=/";
    if (https_) text += "; Secure";
    return text += more;
}

}  // namespace popgate::web
