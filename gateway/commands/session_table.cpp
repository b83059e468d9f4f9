#include "gateway/commands/session_table.hpp"

#include "gateway/commands/output.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <sstream>
#include <tuple>
#include <utility>

namespace popgate::commands {

namespace json = boost::json;

namespace {

std::string text_of(const json::object& object, std::string_view name) {
    const auto* const value = object.if_contains(name);
    return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::uint64_t number_of(const json::object& object, std::string_view name) {
    const auto* const value = object.if_contains(name);
    if (!value) return 0;
    if (value->is_uint64()) return value->get_uint64();
    return value->is_int64() ? static_cast<std::uint64_t>(std::max<std::int64_t>(0, value->get_int64())) : 0;
}

bool is_true(const json::object& object, std::string_view name) {
    const auto* const value = object.if_contains(name);
    return value && value->is_bool() && value->get_bool();
}

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

/// The first `columns` characters of UTF-8; a character that takes two cells is not known as such.
std::string clipped(const std::string& line, std::size_t columns) {
    std::size_t at = 0;
    for (std::size_t seen = 0; at < line.size(); ++at)
        if (!continues(line[at]) && ++seen > columns) break;
    return line.substr(0, at);
}

std::size_t width_of(const std::string& line) {
    return line.size() - static_cast<std::size_t>(std::ranges::count_if(line, continues));
}

/// One column of the table. `rank`: the highest goes first where there is no room.
struct Column {
    const char* heading;
    int rank;
    std::function<std::string(const OpenSession&, double rate)> value;
};

const std::vector<Column>& all_columns() {
    static const std::vector<Column> columns = {
        {">ID", 2, [](const OpenSession& each, double) { return std::to_string(each.id); }},
        {"USER", 0, [](const OpenSession& each, double) { return plain(each.user); }},
        {"FROM", 4, [](const OpenSession& each, double) { return plain(each.from); }},
        {"STATE", 6, [](const OpenSession& each, double) { return plain(each.state); }},
        {"LAST", 3, [](const OpenSession& each, double) { return plain(each.command); }},
        {">AGE", 1, [](const OpenSession& each, double) { return short_duration(each.age); }},
        {">IDLE", 3, [](const OpenSession& each, double) { return short_duration(each.idle); }},
        {">RETRIEVED", 5,
         [](const OpenSession& each, double) {
             return std::to_string(each.retrieved) + '/' + std::to_string(each.messages);
         }},
        {">OCTETS", 1,
         [](const OpenSession& each, double) { return short_number(static_cast<double>(each.octets_sent)); }},
        {">OCTETS/S", 1, [](const OpenSession&, double rate) { return short_number(rate); }},
        {"BACKEND", 7, [](const OpenSession& each, double) { return plain(each.backend); }},
        {"TLS", 8, [](const OpenSession& each, double) { return plain(each.tls.substr(0, each.tls.find(' '))); }},
    };
    return columns;
}

}  // namespace

std::optional<std::vector<OpenSession>> parse_sessions(const json::value& answer) {
    const auto* const list = answer.if_array();
    if (!list) return {};
    std::vector<OpenSession> sessions;
    for (const auto& each : *list) {
        const auto* const object = each.if_object();
        if (!object) return {};
        OpenSession session;
        session.id = number_of(*object, "id");
        session.user = text_of(*object, "user");
        session.from = text_of(*object, "from");
        session.listener = text_of(*object, "listener");
        session.tls = text_of(*object, "tls");
        session.backend = text_of(*object, "backend");
        session.state = text_of(*object, "state");
        session.command = text_of(*object, "command");
        session.age = std::chrono::milliseconds(number_of(*object, "age_ms"));
        session.idle = std::chrono::milliseconds(number_of(*object, "idle_ms"));
        session.messages = number_of(*object, "messages");
        session.retrieved = number_of(*object, "retrieved");
        session.octets_sent = number_of(*object, "octets_sent");
        sessions.push_back(std::move(session));
    }
    return sessions;
}

std::string short_duration(std::chrono::milliseconds time) {
    const auto seconds = static_cast<long long>(std::max<std::int64_t>(0, time.count() / 1000));
    std::array<char, 48> words{};
    const auto write = [&words](const char* format, auto... values) {
        std::snprintf(words.data(), words.size(), format, values...);
    };
    if (seconds < 60)
        write("%llds", seconds);
    else if (seconds < 3600)
        write("%lldm%02llds", seconds / 60, seconds % 60);
    else if (seconds < 24 * 3600)
        write("%lldh%02lldm", seconds / 3600, seconds / 60 % 60);
    else
        write("%lldd%02lldh", seconds / (24 * 3600), seconds / 3600 % 24);
    return words.data();
}

std::string short_number(double value) {
    constexpr std::string_view letters = "kMGTPE";
    std::size_t power = 0;
    for (; value >= 999.5 && power < letters.size(); ++power) value /= 1000;
    std::array<char, 16> digits{};
    std::snprintf(digits.data(), digits.size(), value > 0 && value < 9.95 ? "%.1f" : "%.0f", value);
    std::string written(digits.data());
    if (written.ends_with(".0")) written.resize(written.size() - 2);
    if (power > 0) written += letters[power - 1];
    return written;
}

void print_sessions(std::vector<OpenSession> sessions, std::ostream& out) {
    std::ranges::sort(sessions, std::greater<>(), &OpenSession::age);
    const auto is_shown = [](const Column& column) { return column.heading != std::string_view(">OCTETS/S"); };
    std::vector<std::string> headings;
    for (const auto& column : all_columns())
        if (is_shown(column)) headings.emplace_back(column.heading);
    Table table(std::move(headings));
    for (const auto& session : sessions) {
        std::vector<std::string> row;
        for (const auto& column : all_columns())
            if (is_shown(column)) row.push_back(column.value(session, 0));
        table.add(std::move(row));
    }
    table.print(out);
}

bool TopView::take(const json::value& status, const json::value& sessions, Clock::time_point now) {
    const auto* const server = status.if_object();
    auto open = parse_sessions(sessions);
    if (!server || !open) return false;
    if (auto started = text_of(*server, "started"); started != started_) {
        // Another server, whose numbers begin anew.
        started_ = std::move(started);
        before_.clear();
        taken_.reset();
        last_id_ = 0;
    }
    const double elapsed = taken_ ? std::chrono::duration<double>(now - *taken_).count() : 0;
    std::uint64_t octets = 0;
    std::uint64_t messages = 0;
    std::uint64_t begun = 0;
    std::uint64_t last_id = last_id_;
    rows_.clear();
    for (auto& session : *open) {
        OpenSession before;
        if (const auto known = before_.find(session.id); known != before_.end())
            before = known->second;
        else if (session.id <= last_id_)
            before = session;  // it was left out of the sample before
        const auto more = session.octets_sent - std::min(before.octets_sent, session.octets_sent);
        octets += more;
        messages += session.retrieved - std::min(before.retrieved, session.retrieved);
        begun += session.id > last_id_;
        last_id = std::max(last_id, session.id);
        rows_.push_back({std::move(session), elapsed > 0 ? static_cast<double>(more) / elapsed : 0});
    }
    const auto rate = [elapsed](std::uint64_t count) { return elapsed > 0 ? static_cast<double>(count) / elapsed : 0; };
    octets_a_second_ = rate(octets);
    messages_a_second_ = rate(messages);
    sessions_a_second_ = rate(begun);
    last_id_ = last_id;
    taken_ = now;
    before_.clear();
    for (const auto& row : rows_) before_.emplace(row.session.id, row.session);

    std::size_t troubles = 0;
    if (const auto* const list = server->if_contains("troubles"); list && list->is_array())
        troubles = list->get_array().size();
    headline_ = "popgate " + plain(text_of(*server, "version")) + "  " +
                std::to_string(number_of(*server, "sessions")) + " of " +
                std::to_string(number_of(*server, "max_sessions")) + " sessions  " +
                (is_true(*server, "draining") ? "draining"
                 : is_true(*server, "ready")  ? "ready"
                                              : "NOT READY") +
                (troubles ? "  " + std::to_string(troubles) + " wrong: see popgate status" : "");
    return true;
}

std::vector<TopView::Row> TopView::sorted() const {
    auto rows = rows_;
    std::ranges::sort(rows, [this](const Row& left, const Row& right) {
        const auto& [a, b] = std::tie(left.session, right.session);
        switch (sort_by_) {
            case SortBy::age: break;
            case SortBy::idle:
                if (a.idle != b.idle) return a.idle > b.idle;
                break;
            case SortBy::octets:
                if (a.octets_sent != b.octets_sent) return a.octets_sent > b.octets_sent;
                break;
            case SortBy::rate:
                if (left.rate != right.rate) return left.rate > right.rate;
                break;
            case SortBy::user:
                if (a.user != b.user) return a.user < b.user;
                break;
        }
        return std::tie(b.age, a.id) < std::tie(a.age, b.id);
    });
    return rows;
}

std::vector<std::string> TopView::lines(std::size_t columns, std::size_t rows) const {
    constexpr std::array names = {"age", "idle", "octets", "octets a second", "user"};
    std::vector<std::string> lines = {
        headline_,
        short_number(octets_a_second_) + " octets/s  " + short_number(messages_a_second_) + " messages/s  " +
            short_number(sessions_a_second_) + " new sessions/s  by " + names[static_cast<std::size_t>(sort_by_)],
        ""};
    auto shown = sorted();
    const std::size_t above = lines.size() + 1;
    if (rows > 0 && shown.size() + above > rows) shown.resize(rows > above ? rows - above : 0);

    std::vector<Column> kept = all_columns();
    for (;;) {
        std::vector<std::string> headings;
        for (const auto& column : kept) headings.emplace_back(column.heading);
        Table table(std::move(headings));
        for (const auto& row : shown) {
            std::vector<std::string> values;
            for (const auto& column : kept) values.push_back(column.value(row.session, row.rate));
            table.add(std::move(values));
        }
        std::stringstream printed;
        table.print(printed);
        std::vector<std::string> body;
        std::size_t widest = 0;
        for (std::string line; std::getline(printed, line);) {
            widest = std::max(widest, width_of(line));
            body.push_back(std::move(line));
        }
        if (columns == 0 || widest <= columns || kept.size() == 1) {
            lines.insert(lines.end(), body.begin(), body.end());
            break;
        }
        kept.erase(std::ranges::max_element(kept, {}, &Column::rank));
    }
    if (rows > 0 && lines.size() > rows) lines.resize(rows);
    if (columns > 0)
        for (auto& line : lines) line = clipped(line, columns);
    return lines;
}

}  // namespace popgate::commands
