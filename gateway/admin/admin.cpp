#include "gateway/admin/admin.hpp"

#include "gateway/net/fiber.hpp"
#include "gateway/observe/escape.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <ctime>
#include <optional>
#include <string_view>
#include <utility>

namespace popgate::admin {

namespace json = boost::json;
using std::chrono::system_clock;
using web::Reach;
using web::Request;
using web::Response;

namespace {

constexpr std::uint64_t longest_wait = 20;     // seconds
constexpr std::uint64_t longest_trace = 3600;  // seconds; whoever looks asks again

Response answer(unsigned status, std::string content_type, std::string body) {
    return {status,
            std::move(content_type),
            std::move(body),
            {{"X-Content-Type-Options", "nosniff"}, {"Cache-Control", "no-store"}}};
}

Response plain(unsigned status, const std::string& text) {
    return answer(status, "text/plain; charset=utf-8", text + "\n");
}

Response document(const json::value& value, unsigned status = 200) {
    return answer(status, "application/json", escape_json_controls(json::serialize(value)) + "\n");
}

json::string text(std::string_view octets) { return json::string(json_text(octets)); }

json::string time_text(system_clock::time_point time, bool with_milliseconds = false) {
    const auto since = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
    const auto seconds = static_cast<std::time_t>(since / 1000);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    std::array<char, 32> words{};
    std::string written(words.data(), std::strftime(words.data(), words.size(), "%Y-%m-%dT%H:%M:%S", &parts));
    if (with_milliseconds) written += '.' + std::to_string(1000 + since % 1000).substr(1);
    return json::string(written + 'Z');
}

std::optional<std::uint64_t> number(std::string_view digits) {
    std::uint64_t value = 0;
    const char* const end = digits.data() + digits.size();
    const auto [rest, error] = std::from_chars(digits.data(), end, value);
    if (error != std::errc() || rest != end) return {};
    return value;
}

json::array list(const std::vector<std::string>& lines) {
    json::array all;
    for (const auto& line : lines) all.emplace_back(text(line));
    return all;
}

std::string one_line(std::string line) {
    std::ranges::replace_if(
        line, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
    return line;
}

/// With or without a port.
bool is_address_or_localhost(std::string_view host) {
    if (const auto colon = host.rfind(':'); colon != host.npos && host.find(']', colon) == host.npos)
        if (host.find(':') == colon || host.front() == '[') host = host.substr(0, colon);
    if (host.empty() || host == "localhost") return !host.empty();
    if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    boost::system::error_code no_address;
    boost::asio::ip::make_address(std::string(host), no_address);
    return !no_address;
}

json::object description(const OpenSession& session) {
    return {{"id", session.id},
            {"user", text(session.user)},
            {"from", text(session.from)},
            {"listener", text(session.listener)},
            {"tls", text(session.tls)},
            {"backend", text(session.backend)},
            {"state", text(session.state)},
            {"command", text(session.command)},
            {"age_ms", session.age.count()},
            {"idle_ms", session.idle.count()},
            {"messages", session.messages},
            {"retrieved", session.retrieved},
            {"octets_sent", session.octets_sent}};
}

json::object description(const MinuteOfTraffic& minute) {
    return {{"time", time_text(minute.time)},
            {"sessions", minute.sessions},
            {"logins", minute.logins},
            {"failed_logins", minute.failed_logins},
            {"messages", minute.messages},
            {"octets", minute.octets},
            {"upstream_failures", minute.upstream_failures}};
}

std::vector<std::string> lines_of(const std::string& lines) {
    std::vector<std::string> all;
    for (std::size_t begin = 0; begin < lines.size();) {
        const auto end = std::min(lines.find('\n', begin), lines.size());
        if (end > begin) all.push_back(lines.substr(begin, end - begin));
        begin = end + 1;
    }
    return all;
}

}  // namespace

bool is_ready(const ServerStatus& status) {
    return !status.draining && std::ranges::none_of(status.troubles, &Trouble::stops_service);
}

Response AdminApi::handle(Fiber& fiber, const Request& request) {
    // A browser sends exactly one; checks of health by HTTP/1.0 none.
    const bool has_host = request.headers.has("host");
    if (request.reach == Reach::loopback && has_host && !is_address_or_localhost(request.header("host")))
        return plain(421, "This is asked for by IP address, or as localhost.");

    struct Place {
        std::string_view path;
        Reach least;
        Answer get;
        Answer post;
    };
    static constexpr std::array<Place, 11> places = {{
        {"/healthz", Reach::network, &AdminApi::health, nullptr},
        {"/readyz", Reach::network, &AdminApi::readiness, nullptr},
        {"/metrics", Reach::network, &AdminApi::metrics, nullptr},
        {"/", Reach::loopback, &AdminApi::page, nullptr},
        {"/style.css", Reach::loopback, &AdminApi::style, nullptr},
        {"/status.json", Reach::loopback, &AdminApi::status, nullptr},
        {"/sessions", Reach::unix_socket, &AdminApi::sessions, nullptr},
        {"/trace", Reach::unix_socket, &AdminApi::trace_lines, &AdminApi::trace},
        {"/kick", Reach::unix_socket, nullptr, &AdminApi::kick},
        {"/drain", Reach::unix_socket, nullptr, &AdminApi::drain},
        {"/reload", Reach::unix_socket, nullptr, &AdminApi::reload},
    }};
    const auto place = std::ranges::find(places, request.path, &Place::path);
    if (place == places.end()) return plain(404, "Not Found");
    if (request.reach < place->least)
        return plain(403, place->least == Reach::loopback ? "This is served on loopback and over the Unix socket."
                                                          : "This is served over the Unix socket.");
    const bool reads = request.method == "GET" || request.method == "HEAD";
    const auto what = reads ? place->get : request.method == "POST" ? place->post : nullptr;
    if (what) return (this->*what)(fiber, request);
    auto refused = plain(405, "Method Not Allowed");
    refused.headers.emplace_back("Allow", !place->post ? "GET, HEAD" : !place->get ? "POST" : "GET, HEAD, POST");
    return refused;
}

Response AdminApi::health(Fiber&, const Request&) { return plain(200, "ok"); }

Response AdminApi::readiness(Fiber& fiber, const Request&) {
    const auto now = control_.status(fiber);
    if (is_ready(now)) return plain(200, "ready");
    std::string reasons = now.draining ? "draining: no new sessions" : "";
    for (const auto& trouble : now.troubles) {
        if (!trouble.stops_service) continue;
        if (!reasons.empty()) reasons += '\n';
        reasons += one_line(trouble.what) + (trouble.why.empty() ? "" : ": " + one_line(trouble.why));
    }
    return plain(503, reasons);
}

Response AdminApi::metrics(Fiber&, const Request&) {
    return answer(200, "text/plain; version=0.0.4; charset=utf-8", metrics_());
}

Response AdminApi::page(Fiber& fiber, const Request& request) {
    auto response =
        answer(200, "text/html; charset=utf-8",
               status_page(control_.status(fiber), history_(), system_clock::now(), request.query.has("refresh")));
    response.headers.emplace_back("Content-Security-Policy",
                                  "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
                                  "frame-ancestors 'none'");
    response.headers.emplace_back("X-Frame-Options", "DENY");
    response.headers.emplace_back("Referrer-Policy", "no-referrer");
    response.headers.emplace_back("Cross-Origin-Opener-Policy", "same-origin");
    response.headers.emplace_back("Cross-Origin-Resource-Policy", "same-origin");
    return response;
}

Response AdminApi::style(Fiber&, const Request&) {
    return answer(200, "text/css; charset=utf-8", std::string(status_style));
}

Response AdminApi::status(Fiber& fiber, const Request&) {
    const auto now = control_.status(fiber);
    json::array troubles;
    for (const auto& trouble : now.troubles)
        troubles.push_back(json::object{
            {"what", text(trouble.what)}, {"why", text(trouble.why)}, {"stops_service", trouble.stops_service}});
    json::array history;
    for (const auto& minute : history_()) history.push_back(description(minute));
    return document(json::object{{"version", text(now.version)},
                                 {"started", time_text(now.started)},
                                 {"configured", time_text(now.configured)},
                                 {"ready", is_ready(now)},
                                 {"draining", now.draining},
                                 {"under_stress", now.under_stress},
                                 {"sessions", now.sessions},
                                 {"max_sessions", now.max_sessions},
                                 {"listeners", list(now.listeners)},
                                 {"routes", list(now.routes)},
                                 {"troubles", std::move(troubles)},
                                 {"history", std::move(history)}});
}

Response AdminApi::sessions(Fiber& fiber, const Request&) {
    json::array all;
    for (const auto& session : control_.sessions(fiber)) all.push_back(description(session));
    return document(all);
}

Response AdminApi::trace_lines(Fiber& fiber, const Request& request) {
    const auto user = request.query.get("user");
    const auto after = request.query.has("after") ? number(request.query.get("after")) : 0;
    const auto wait = request.query.has("wait") ? number(request.query.get("wait")) : longest_wait;
    if (user.empty() || !after || !wait || *wait > longest_wait)
        return plain(400, "Wanted are user, after (a number) and wait (at most 20 seconds).");
    json::array lines;
    for (const auto& line : control_.trace_lines(fiber, user, *after, std::chrono::seconds(*wait)))
        lines.push_back(json::object{{"number", line.number},
                                     {"time", time_text(line.time, true)},
                                     {"session", line.session},
                                     {"side", text(line.side)},
                                     {"text", text(line.text)}});
    return document(lines);
}

Response AdminApi::trace(Fiber&, const Request& request) {
    const auto user = request.form.get("user");
    const auto seconds = number(request.form.get("seconds"));
    if (user.empty() || !seconds || *seconds > longest_trace)
        return plain(400, "Wanted are user and seconds (at most 3600; 0 switches it off).");
    if (!control_.trace(user, std::chrono::seconds(*seconds))) return plain(409, "Too many users are traced already.");
    return document(json::object{{"user", text(user)}, {"seconds", *seconds}});
}

Response AdminApi::kick(Fiber& fiber, const Request& request) {
    const auto user = request.form.get("user");
    const auto id = number(request.form.get("id"));
    if (request.form.has("id") ? !id || !user.empty() : user.empty())
        return plain(400, "Wanted is either id (a number) or user.");
    return document(json::object{{"kicked", control_.kick(fiber, id, user)}});
}

Response AdminApi::drain(Fiber&, const Request&) {
    control_.drain();
    return document(json::object{{"draining", true}}, 202);
}

Response AdminApi::reload(Fiber& fiber, const Request&) {
    const auto remarks = control_.reload(fiber);
    if (remarks) return document(json::object{{"remarks", list(*remarks)}});
    return document(json::object{{"problems", list(lines_of(remarks.error().text))}}, 422);
}

}  // namespace popgate::admin
