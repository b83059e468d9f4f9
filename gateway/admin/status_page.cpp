#include "gateway/admin/status_page.hpp"

#include "gateway/web/html.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <ctime>
#include <functional>

namespace popgate::admin {

using std::chrono::system_clock;
using web::escape_markup;
using namespace std::chrono_literals;

namespace {

constexpr auto an_hour = 60;  // minutes
constexpr std::size_t shown_at_once = 12;

std::string utc(system_clock::time_point time, const char* format) {
    const auto seconds = system_clock::to_time_t(time);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    std::array<char, 64> words{};
    return std::string(words.data(), std::strftime(words.data(), words.size(), format, &parts));
}

std::string moment(system_clock::time_point time) {
    return "<time datetime=\"" + utc(time, "%Y-%m-%dT%H:%M:%SZ") + "\">" + utc(time, "%Y-%m-%d %H:%M") + " UTC</time>";
}

/// "1 234 567", with spaces that do not break.
std::string grouped(std::uint64_t value) {
    std::string digits = std::to_string(value);
    for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, "\u202f");
    return digits;
}

std::string counted(std::uint64_t count, std::string_view one, std::string_view many) {
    return grouped(count) + ' ' + std::string(count == 1 ? one : many);
}

/// The two largest units: "3 days 4 hours".
std::string duration(system_clock::duration time) {
    const auto minutes = static_cast<std::uint64_t>(
        std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::minutes>(time).count()));
    if (minutes == 0) return "less than a minute";
    const auto hours = minutes / 60;
    const auto days = hours / 24;
    if (days > 0) return counted(days, "day", "days") + (hours % 24 ? ' ' + counted(hours % 24, "hour", "hours") : "");
    if (hours > 0)
        return counted(hours, "hour", "hours") + (minutes % 60 ? ' ' + counted(minutes % 60, "minute", "minutes") : "");
    return counted(minutes, "minute", "minutes");
}

/// "950", "1.5 M": three digits at most, and the letter of their power of ten.
std::string scaled(std::uint64_t value) {
    constexpr std::array<std::string_view, 7> letters = {"",        "\u202fk", "\u202fM", "\u202fG",
                                                         "\u202fT", "\u202fP", "\u202fE"};
    std::size_t power = 0;
    auto rest = static_cast<double>(value);
    for (; rest >= 999.5 && power + 1 < letters.size(); ++power) rest /= 1000;
    std::array<char, 16> digits{};
    std::snprintf(digits.data(), digits.size(), power > 0 && rest < 9.95 ? "%.1f" : "%.0f", rest);
    std::string written(digits.data());
    if (written.ends_with(".0")) written.resize(written.size() - 2);
    return written + std::string(letters[power]);
}

std::string rounded(std::uint64_t value) { return value < 1'000'000 ? grouped(value) : scaled(value); }

/// The end of an axis whose middle is round, too.
std::uint64_t round_up(std::uint64_t value, std::uint64_t least) {
    constexpr std::array<std::uint64_t, 5> rounds = {2, 4, 6, 8, 10};
    for (std::uint64_t power = 1; power <= 1'000'000'000'000'000'000 / 10; power *= 10)
        for (const auto round : rounds)
            if (round * power >= std::max(value, least)) return round * power;
    return value;
}

/// What is counted in each of the last sixty minutes, the running one last.
using Hour = std::array<std::uint64_t, an_hour>;

Hour hour_of(const std::vector<MinuteOfTraffic>& history, system_clock::time_point first,
             std::uint64_t MinuteOfTraffic::*member) {
    Hour hour{};
    for (const auto& minute : history) {
        const auto at = std::chrono::floor<std::chrono::minutes>(minute.time - first).count();
        if (at >= 0 && at < an_hour) hour[static_cast<std::size_t>(at)] += minute.*member;
    }
    return hour;
}

std::uint64_t sum(const Hour& hour) {
    std::uint64_t all = 0;
    for (const auto each : hour) all += each;
    return all;
}

std::string attribute(std::string_view name, double value) {
    std::array<char, 32> digits{};
    std::snprintf(digits.data(), digits.size(), "%.1f", value);
    return ' ' + std::string(name) + "=\"" + digits.data() + '"';
}

struct Plot {
    std::string_view id;
    std::string_view title;  // "Sessions a minute"
    std::string_view one;
    std::string_view many;
    std::uint64_t least;  // of the axis's end
};

/// A bar a minute. It is drawn as wide as a phone, and no text in it is smaller than on the page there.
std::string plot(const Plot& what, const Hour& hour, system_clock::time_point first, system_clock::time_point started) {
    constexpr double width = 400, height = 176, left = 50, right = 394, top = 12, bottom = 148;
    constexpr double step = (right - left) / an_hour;
    const auto most = *std::ranges::max_element(hour);
    const auto end = round_up(most, what.least);
    const auto y_of = [&](double value) { return bottom - (bottom - top) * value / static_cast<double>(end); };
    const auto x_of = [&](double minute) { return left + step * minute; };

    const std::string id(what.id);
    std::string svg = "<figure>\n<figcaption id=\"" + id + "\"><b>" + std::string(what.title) + "</b> ";
    svg += most == 0 ? "none in the last hour"
                     : rounded(sum(hour)) + " in the last hour, " + rounded(most) + " in the busiest minute";
    svg += "</figcaption>\n<svg viewBox=\"0 0 " + std::to_string(static_cast<int>(width)) + ' ' +
           std::to_string(static_cast<int>(height)) + "\" role=\"img\" aria-labelledby=\"" + id + "\">\n";
    const double begin = static_cast<double>((started - first) / 1min);
    if (begin > 0 && begin <= an_hour) {
        svg += "<rect class=\"before\"" + attribute("x", left) + attribute("y", top) +
               attribute("width", x_of(begin) - left) + attribute("height", bottom - top) + "/>\n";
        if (begin > 15)
            svg += "<text class=\"soft middle\"" + attribute("x", (left + x_of(begin)) / 2) +
                   attribute("y", (top + bottom) / 2 - 12) + ">not running yet</text>\n";
    }
    for (const auto value : {std::uint64_t{0}, end / 2, end}) {
        const double y = y_of(static_cast<double>(value));
        svg += "<line class=\"" + std::string(value == 0 ? "axis" : "grid") + '"' + attribute("x1", left) +
               attribute("x2", right) + attribute("y1", y) + attribute("y2", y) + "/>\n<text class=\"end\"" +
               attribute("x", left - 7) + attribute("y", y + 4) + '>' + scaled(value) + "</text>\n";
    }
    svg += "<text class=\"end\"" + attribute("x", left - 22) + attribute("y", bottom + 20) + ">UTC</text>\n";
    const auto first_minute = std::chrono::floor<std::chrono::minutes>(first.time_since_epoch()).count();
    for (int minute = 0; minute < an_hour; ++minute) {
        const auto time = first + std::chrono::minutes(minute);
        if ((first_minute + minute) % 15 == 0) {
            const double x = x_of(minute);
            svg += "<line class=\"axis\"" + attribute("x1", x) + attribute("x2", x) + attribute("y1", bottom) +
                   attribute("y2", bottom + 5) + "/>\n<text class=\"middle\"" +
                   attribute("x", std::clamp(x, left + 8, right - 16)) + attribute("y", bottom + 20) + '>' +
                   utc(time, "%H:%M") + "</text>\n";
        }
        const auto value = hour[static_cast<std::size_t>(minute)];
        if (value == 0) continue;
        // A minute with one session among thousands is seen, too.
        const double y = std::min(y_of(static_cast<double>(value)), bottom - 1.5);
        svg += "<rect class=\"bar\"" + attribute("x", x_of(minute) + 0.6) + attribute("y", y) +
               attribute("width", step - 1.2) + attribute("height", bottom - y) + "><title>" + utc(time, "%H:%M") +
               " UTC: " + counted(value, what.one, what.many) + "</title></rect>\n";
    }
    return svg + "</svg>\n</figure>\n";
}

std::string fact(std::string_view name, const std::string& value, std::string_view more = {},
                 std::string_view css = {}) {
    std::string tile = css.empty() ? "<div>" : "<div class=\"" + std::string(css) + "\">";
    tile += "<dt>" + std::string(name) + "</dt><dd><b>" + value + "</b>";
    if (!more.empty()) tile += "<span>" + std::string(more) + "</span>";
    return tile + "</dd></div>\n";
}

std::string session_meter(const ServerStatus& status) {
    const double share =
        status.max_sessions ? static_cast<double>(status.sessions) / static_cast<double>(status.max_sessions) : 0;
    return "of at most " + grouped(status.max_sessions) + "<svg class=\"meter" + (status.under_stress ? " full" : "") +
           "\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"all\" "
           "width=\"100\" "
           "height=\"4\"/><rect class=\"part\"" +
           attribute("width", 100 * std::min(share, 1.0)) + " height=\"4\"/></svg>";
}

std::string banner(const ServerStatus& status) {
    const bool ready = is_ready(status);
    const auto wrong = status.troubles.size();
    const auto* const css = !ready ? "bad" : wrong > 0 || status.under_stress ? "fair" : "good";
    std::string says = "Running";
    std::string means = "New sessions are served, and nothing is known to be wrong.";
    if (status.draining) {
        says = "Draining";
        means = "No new session is served; those that are open are given time to end.";
    } else if (!ready) {
        says = "Not serving";
        means = "New sessions cannot be served, for the reasons below.";
    } else if (wrong > 0) {
        says = "Running, with " + counted(wrong, "trouble", "troubles");
        means = "New sessions are served; what is wrong stands below.";
    } else if (status.under_stress) {
        says = "Running, under stress";
        means = "Nearly as many sessions as are allowed: clients that have not logged in are given less time.";
    }
    // The shape says it, too: a tick, an exclamation mark, a cross.
    const auto* const sign = !ready                             ? "M8 8l8 8M16 8l-8 8"
                             : wrong > 0 || status.under_stress ? "M12 6.5v6.5M12 16.6v.4"
                                                                : "M7 12.5l3.5 3.5L17 9";
    return "<div class=\"banner " + std::string(css) +
           "\">\n<svg viewBox=\"0 0 24 24\" aria-hidden=\"true\"><circle cx=\"12\" cy=\"12\" r=\"11\"/><path d=\"" +
           sign + "\"/></svg>\n<div><h1>" + says + "</h1>\n<p>" + means + "</p></div>\n</div>\n";
}

std::string troubles_of(const ServerStatus& status) {
    if (status.troubles.empty()) return {};
    auto troubles = status.troubles;
    std::ranges::stable_sort(troubles, std::greater<>(), &Trouble::stops_service);
    std::string list =
        "<section aria-labelledby=\"wrong\">\n<h2 id=\"wrong\">What is wrong now</h2>\n<ul class=\"troubles\">\n";
    for (const auto& trouble : troubles) {
        list += "<li class=\"" + std::string(trouble.stops_service ? "bad" : "fair") + "\"><b>" +
                escape_markup(trouble.what) + "</b>";
        if (!trouble.why.empty()) list += "<p>" + escape_markup(trouble.why) + "</p>";
        if (trouble.stops_service) list += "<p class=\"mark\">No new session is served while this lasts.</p>";
        list += "</li>\n";
    }
    return list + "</ul>\n</section>\n";
}

std::string list_of(std::string_view id, std::string_view title, const std::vector<std::string>& lines) {
    std::string section = "<section aria-labelledby=\"" + std::string(id) + "\">\n<h2 id=\"" + std::string(id) + "\">" +
                          std::string(title) + "</h2>\n";
    std::string list = "<ul class=\"lines\">\n";
    for (const auto& line : lines) list += "<li>" + escape_markup(line) + "</li>\n";
    list += "</ul>\n";
    if (lines.empty())
        section += "<p class=\"soft\">None.</p>\n";
    else if (lines.size() > shown_at_once)
        section += "<details>\n<summary>All " + grouped(lines.size()) + "</summary>\n" + list + "</details>\n";
    else
        section += list;
    return section + "</section>\n";
}

}  // namespace

std::string status_page(const ServerStatus& status, const std::vector<MinuteOfTraffic>& history,
                        system_clock::time_point now, bool refreshes) {
    const auto first = std::chrono::floor<std::chrono::minutes>(now) - std::chrono::minutes(an_hour - 1);
    const auto of = [&](std::uint64_t MinuteOfTraffic::*member) { return hour_of(history, first, member); };
    const auto sessions = of(&MinuteOfTraffic::sessions);
    const auto octets = of(&MinuteOfTraffic::octets);
    const auto failed_logins = sum(of(&MinuteOfTraffic::failed_logins));
    const auto upstream_failures = sum(of(&MinuteOfTraffic::upstream_failures));

    std::string page =
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"robots\" content=\"noindex\">\n";
    if (refreshes) page += "<meta http-equiv=\"refresh\" content=\"30\">\n";
    page += "<title>" + std::string(is_ready(status) ? "popgate" : "popgate: not serving") +
            "</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>\n<header>\n<p><b>popgate</b> " +
            escape_markup(status.version) + "</p>\n<p class=\"soft\">" + moment(now) +
            (refreshes ? " · <a href=\"/\">stop refreshing</a>" : " · <a href=\"/?refresh\">refresh by itself</a>") +
            "</p>\n</header>\n<main>\n";
    page += banner(status);
    page += troubles_of(status);
    page += "<dl class=\"facts now\">\n";
    page +=
        fact("Sessions now", grouped(status.sessions), session_meter(status), status.under_stress ? "alarming" : "");
    page += fact("Running for", duration(now - status.started), "since " + moment(status.started));
    page += fact("Configuration taken", duration(now - status.configured) + " ago", moment(status.configured));
    page += "</dl>\n<section aria-labelledby=\"hour\">\n<h2 id=\"hour\">The last hour</h2>\n<div class=\"plots\">\n";
    page += plot({"sessions", "Sessions a minute", "session", "sessions", 4}, sessions, first, status.started);
    page += plot({"octets", "Octets a minute", "octet", "octets", 1000}, octets, first, status.started);
    page += "</div>\n<dl class=\"facts\">\n";
    page += fact("Logins", grouped(sum(of(&MinuteOfTraffic::logins))));
    page += fact("Failed logins", grouped(failed_logins), {}, failed_logins ? "alarming" : "");
    page += fact("Messages given to clients", grouped(sum(of(&MinuteOfTraffic::messages))));
    page += fact("Failures of upstreams", grouped(upstream_failures), {}, upstream_failures ? "alarming" : "");
    page += "</dl>\n</section>\n<div class=\"lists\">\n";
    page += list_of("listeners", "Listening on", status.listeners);
    page += list_of("routes", "Routes", status.routes);
    page +=
        "</div>\n</main>\n<footer><p><a href=\"/status.json\">This page as JSON</a> · <a href=\"/metrics\">Metrics</a> "
        "· "
        "<a href=\"/readyz\">Ready?</a></p></footer>\n</body>\n</html>\n";
    return page;
}

}  // namespace popgate::admin
