#include "gateway/web/pages.hpp"

#include "gateway/web/html.hpp"
#include "gateway/web/style.hpp"

#include <array>
#include <ctime>

namespace popgate::web {

namespace {

constexpr std::size_t longest_said = 200;

/// The text with `value` in its place, which may be markup.
std::string fill(Language language, Text which, std::string_view value) {
    std::string filled = escape_markup(text(language, which));
    if (const auto place = filled.find("{}"); place != std::string::npos) filled.replace(place, 2, value);
    return filled;
}

std::string say(Language language, Text which) { return escape_markup(text(language, which)); }

std::string paragraph(Language language, Text which, std::string_view css = {}) {
    const auto start = css.empty() ? std::string("<p>") : "<p class=\"" + std::string(css) + "\">";
    return start + say(language, which) + "</p>\n";
}

std::string strong(std::string_view value) { return "<strong class=\"value\">" + escape_markup(value) + "</strong>"; }

void add_security(Response& response, bool https, std::string_view policy) {
    response.headers = {
        {"Content-Security-Policy", std::string(policy)},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        // Not no-referrer: browsers then send "Origin: null" with our own forms, and Origin could not be checked. What
        // leaves for other sites is the same with both: nothing.
        {"Referrer-Policy", "same-origin"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()"},
        {"Cache-Control", "no-store"},
    };
    if (https) response.headers.emplace_back("Strict-Transport-Security", "max-age=31536000");
}

constexpr std::string_view policy =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
// Browsers apply form-action to where a form's answer leads, too, and that is the provider's page: which one it is,
// only the provider's own documents say.
constexpr std::string_view sign_in_policy =
    "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'";

std::string hidden(std::string_view name, std::string_view value) {
    return "<input type=\"hidden\" name=\"" + std::string(name) + "\" value=\"" + escape_markup(value) + "\">";
}

std::string form(const Frame& frame, std::string_view action, std::string_view content) {
    return "<form method=\"post\" action=\"" + std::string(action) + "\">" + hidden("token", frame.form_token) +
           std::string(content) + "</form>\n";
}

std::string language_links(const Frame& frame) {
    std::string links;
    constexpr std::array<std::pair<Language, std::string_view>, 2> all = {
        {{Language::english, "English"}, {Language::spanish, "Español"}}};
    for (const auto& [language, name] : all) {
        const std::string code(code_of(language));
        links += "<li><a href=\"" + escape_markup(frame.path) + "?lang=" + code + "\" lang=\"" + code +
                 "\" hreflang=\"" + code + "\"" + (language == frame.language ? " aria-current=\"true\"" : "") + ">" +
                 std::string(name) + "</a></li>";
    }
    return links;
}

Response page(const Frame& frame, std::string_view title, std::string_view main,
              std::string_view content_policy = policy) {
    Response response;
    const auto service = escape_markup(frame.service_name);
    auto& body = response.body;
    body = "<!DOCTYPE html>\n<html lang=\"" + std::string(code_of(frame.language)) +
           "\">\n<head>\n<meta charset=\"utf-8\">\n"
           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
           "<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"robots\" content=\"noindex\">\n<title>";
    body += std::string(title) + " – " + service + "</title>\n";
    body += "<link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>\n<header>\n<p class=\"brand\">" + service +
            "</p>\n";
    if (!frame.user.empty()) {
        body += "<p class=\"who\">" + fill(frame.language, Text::signed_in_as, strong(frame.user)) + "</p>\n";
        body +=
            form(frame, "/sign-out", "<button class=\"quiet\">" + say(frame.language, Text::sign_out) + "</button>");
    }
    body += "</header>\n<main>\n<h1>" + std::string(title) + "</h1>\n";
    body += main;
    body += "</main>\n<footer>\n";
    // Without a path the page is not to be had a second time in another language.
    if (!frame.path.empty())
        body += "<nav aria-label=\"" + say(frame.language, Text::language) + "\"><ul>" + language_links(frame) +
                "</ul></nav>\n";
    body += "</footer>\n</body>\n</html>\n";
    add_security(response, frame.https, content_policy);
    response.headers.emplace_back("Content-Language", code_of(frame.language));
    return response;
}

std::string date(Language language, std::int64_t seconds, bool with_hour) {
    constexpr std::array english = {"January", "February", "March",     "April",   "May",      "June",
                                    "July",    "August",   "September", "October", "November", "December"};
    constexpr std::array spanish = {"enero", "febrero", "marzo",      "abril",   "mayo",      "junio",
                                    "julio", "agosto",  "septiembre", "octubre", "noviembre", "diciembre"};
    const std::time_t time = static_cast<std::time_t>(seconds);
    std::tm parts{};
    if (!gmtime_r(&time, &parts)) return {};
    const auto month = static_cast<std::size_t>(parts.tm_mon);
    std::array<char, 24> machine{};
    std::strftime(machine.data(), machine.size(), "%Y-%m-%dT%H:%MZ", &parts);
    std::array<char, 24> hour{};
    std::strftime(hour.data(), hour.size(), ", %H:%M UTC", &parts);
    const auto day = std::to_string(parts.tm_mday);
    const auto year = std::to_string(parts.tm_year + 1900);
    std::string words = language == Language::spanish ? day + " de " + spanish[month] + " de " + year
                                                      : day + " " + english[month] + " " + year;
    if (with_hour) words += hour.data();
    return std::string("<time datetime=\"") + machine.data() + "\">" + words + "</time>";
}

std::string device(const Frame& frame, const AppPassword& each) {
    const auto language = frame.language;
    std::string item = "<li class=\"card device\">\n<div>\n<h2 class=\"value\">" + escape_markup(each.label) +
                       "</h2>\n<dl>\n<div><dt>" + say(language, Text::device_created) + "</dt><dd>" +
                       date(language, each.created, false) + "</dd></div>\n<div><dt>" +
                       say(language, Text::device_last_used) + "</dt><dd>";
    if (each.last_used == 0) {
        item += say(language, Text::device_never_used);
    } else {
        item += date(language, each.last_used, true);
        if (!each.last_address.empty())
            item += " " + fill(language, Text::device_from,
                               "<span class=\"value\">" + escape_markup(each.last_address) + "</span>");
    }
    item += "</dd></div>\n</dl>\n</div>\n";
    item += form(frame, "/revoke",
                 hidden("id", each.id) + "<button class=\"danger\">" + say(language, Text::revoke) +
                     "<span class=\"hidden\"> " + fill(language, Text::revoke_of, escape_markup(each.label)) +
                     "</span></button>");
    return item + "</li>\n";
}

std::string security_of(Language language, TlsMode mode) {
    switch (mode) {
        case TlsMode::implicit: return say(language, Text::security_tls);
        case TlsMode::starttls: return say(language, Text::security_starttls);
        case TlsMode::none: break;
    }
    return say(language, Text::security_none);
}

std::string setting(std::string_view name, std::string_view value) {
    return "<div><dt>" + std::string(name) + "</dt><dd>" + std::string(value) + "</dd></div>\n";
}

std::string settings_section(const Frame& frame, const MailSettings& settings) {
    const auto language = frame.language;
    std::string ports;
    for (const auto& port : settings.ports) {
        ports += "<span class=\"port\"><b class=\"copy\">" + std::to_string(port.number) + "</b> " +
                 security_of(language, port.tls) + "</span>";
    }
    return "<section aria-labelledby=\"settings\">\n<h2 id=\"settings\">" + say(language, Text::settings_title) +
           "</h2>\n" + paragraph(language, Text::settings_intro) + "<dl class=\"settings card\">\n" +
           setting(say(language, Text::setting_server),
                   "<b class=\"copy value\">" + escape_markup(settings.host) + "</b>") +
           setting(say(language, Text::setting_port), ports) +
           setting(say(language, Text::setting_user), "<b class=\"copy value\">" + escape_markup(frame.user) + "</b>") +
           setting(say(language, Text::setting_password), say(language, Text::setting_as_shown)) + "</dl>\n" +
           paragraph(language, Text::outgoing_note, "note") + "</section>\n";
}

}  // namespace

Response sign_in_page(const Frame& frame, const std::vector<ProviderChoice>& providers) {
    const auto language = frame.language;
    std::string main = paragraph(language, Text::sign_in_intro, "lead");
    if (providers.empty()) main += paragraph(language, Text::no_providers, "notice");
    std::string buttons;
    for (const auto& [name, title] : providers)
        buttons += "<button class=\"primary wide\" name=\"provider\" value=\"" + escape_markup(name) + "\">" +
                   fill(language, Text::sign_in_button, escape_markup(title)) + "</button>\n";
    if (!buttons.empty())
        main += form(frame, "/sign-in", "<div class=\"choices\">" + buttons + "</div>") +
                paragraph(language, Text::sign_in_note, "note");
    return page(frame, say(language, Text::sign_in_title), main, sign_in_policy);
}

Response devices_page(const Frame& frame, const std::vector<AppPassword>& devices, const MailSettings& settings) {
    const auto language = frame.language;
    std::string main;
    if (devices.empty()) {
        main += paragraph(language, Text::no_devices, "lead");
    } else {
        main += paragraph(language, Text::devices_intro, "lead") + "<ul class=\"devices\">\n";
        for (const auto& each : devices) main += device(frame, each);
        main += "</ul>\n";
        if (devices.size() > 1) main += "<p><a href=\"/revoke-all\">" + say(language, Text::revoke_all) + "</a></p>\n";
    }
    main += "<section aria-labelledby=\"add\">\n<h2 id=\"add\">" + say(language, Text::add_title) + "</h2>\n" +
            paragraph(language, Text::add_text);
    main += form(frame, "/devices",
                 "<label for=\"label\">" + say(language, Text::label) + "</label><p class=\"hint\" id=\"label-hint\">" +
                     say(language, Text::label_hint) +
                     "</p><input id=\"label\" name=\"label\" maxlength=\"60\" required autocomplete=\"off\" "
                     "aria-describedby=\"label-hint\"><button class=\"primary\">" +
                     say(language, Text::add_button) + "</button>");
    main += "</section>\n" + settings_section(frame, settings);
    return page(frame, say(language, Text::devices_title), main);
}

Response revoke_all_page(const Frame& frame) {
    const auto language = frame.language;
    return page(frame, say(language, Text::revoke_all_title),
                paragraph(language, Text::revoke_all_text, "lead") +
                    form(frame, "/revoke-all",
                         "<div class=\"actions\"><button class=\"danger\">" + say(language, Text::revoke_all_yes) +
                             "</button><a class=\"button\" href=\"/devices\">" + say(language, Text::keep_them) +
                             "</a></div>"));
}

Response new_password_page(const Frame& frame, std::string_view label, std::string_view password,
                           const MailSettings& settings) {
    const auto language = frame.language;
    std::string main = paragraph(language, Text::new_password_intro, "lead");
    main += "<dl class=\"card password\"><div><dt>" + say(language, Text::your_password) +
            "</dt><dd><code class=\"copy\" translate=\"no\">" + escape_markup(password) + "</code></dd></div></dl>\n";
    main += paragraph(language, Text::password_hint, "note");
    main += settings_section(frame, settings);
    main += "<p><a class=\"button primary\" href=\"/devices\">" + say(language, Text::done) + "</a></p>\n";
    return page(frame, fill(language, Text::new_password_title, escape_markup(label)), main);
}

Response password_gone_page(const Frame& frame) {
    const auto language = frame.language;
    return page(frame, say(language, Text::password_gone_title),
                paragraph(language, Text::password_gone_text, "lead") + "<p><a class=\"button\" href=\"/devices\">" +
                    say(language, Text::back) + "</a></p>\n");
}

Response message_page(const Frame& frame, unsigned status, Text title, Text explanation, std::string_view value,
                      std::string_view said) {
    const auto language = frame.language;
    std::string main = "<p class=\"lead\">" + fill(language, explanation, strong(value)) + "</p>\n";
    if (const auto words = clean_line(said, longest_said); !words.empty())
        main += "<p class=\"note\">" +
                fill(language, Text::provider_says, "<q class=\"value\">" + escape_markup(words) + "</q>") + "</p>\n";
    const bool is_known = !frame.user.empty();
    main += std::string("<p><a class=\"button\" href=\"") + (is_known ? "/devices" : "/") + "\">" +
            say(language, is_known ? Text::back : Text::again) + "</a></p>\n";
    auto response = page(frame, say(language, title), main);
    response.status = status;
    return response;
}

Response style_sheet(bool https) {
    Response response;
    response.content_type = "text/css; charset=utf-8";
    response.body = std::string(style);
    add_security(response, https, policy);
    for (auto& [name, value] : response.headers)
        if (name == "Cache-Control") value = "public, max-age=3600";
    return response;
}

Response see_other(std::string url, bool https) {
    Response response;
    response.status = 303;
    add_security(response, https, policy);
    response.headers.emplace_back("Location", std::move(url));
    return response;
}

}  // namespace popgate::web
