#include "gateway/commands/output.hpp"

#include "gateway/observe/escape.hpp"

#include <boost/json/serialize.hpp>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <ostream>

namespace popgate::commands {

namespace {

// Of valid UTF-8; characters that take two cells are not known as such here.
std::size_t width(std::string_view text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string formatted(std::int64_t time, const char* format) {
    const auto seconds = static_cast<std::time_t>(time);
    std::tm parts{};
    char text[64];
    if (!gmtime_r(&seconds, &parts) || std::strftime(text, sizeof text, format, &parts) == 0)
        return std::to_string(time);
    return text;
}

}  // namespace

Table::Table(std::vector<std::string> headings) : headings_(std::move(headings)) {
    for (std::string& heading : headings_) {
        to_the_right_.push_back(heading.starts_with('>'));
        if (to_the_right_.back()) heading.erase(0, 1);
    }
}

void Table::print(std::ostream& out) const {
    std::vector<std::size_t> widths;
    for (const auto& heading : headings_) widths.push_back(width(heading));
    for (const auto& row : rows_)
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
    const auto print_row = [&](const std::vector<std::string>& row) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            const std::string padding(widths[i] - width(row[i]), ' ');
            if (i > 0) line += "  ";
            line += to_the_right_[i] ? padding + row[i] : row[i] + padding;
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out << line << '\n';
    };
    print_row(headings_);
    for (const auto& row : rows_) print_row(row);
}

bool agrees(const std::string& question) {
    std::cerr << question << " [y/N] " << std::flush;
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "y" || answer == "Y" || answer == "yes";
}

bool speaks_utf8() {
    const char* const locale = std::getenv("LC_ALL") ? std::getenv("LC_ALL") : std::getenv("LANG");
    return locale && std::string_view(locale).find("UTF-8") != std::string_view::npos;
}

std::string plain(std::string_view text) {
    if (text.empty()) return "-";
    const std::string quoted = quoted_text(text);
    return quoted.substr(1, quoted.size() - 2);
}

boost::json::value json_string(std::string_view text) { return boost::json::string(json_text(text)); }

std::string time_text(std::int64_t time) { return time == 0 ? "-" : formatted(time, "%Y-%m-%d %H:%M:%SZ"); }

boost::json::value json_time(std::int64_t time) {
    if (time == 0) return nullptr;
    return boost::json::string(formatted(time, "%Y-%m-%dT%H:%M:%SZ"));
}

void print_json(std::ostream& out, const boost::json::value& value) {
    out << escape_json_controls(boost::json::serialize(value)) << '\n';
}

}  // namespace popgate::commands
