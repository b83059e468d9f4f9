#pragma once

#include <boost/json/value.hpp>

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace popgate::commands {

/// Exit codes of the admin's commands. Those of a bad command line or configuration are 2 as well.
inline constexpr int exit_done = 0;
inline constexpr int exit_failed = 1;
inline constexpr int exit_usage = 2;
inline constexpr int exit_interrupted = 130;  ///< as shells have it
inline constexpr int exit_incomplete = 3;     ///< import-uids: some old messages got no counterpart

/// Where a command's outcome goes, and in which form.
struct Console {
    std::ostream& out;
    std::ostream& err;
    bool json = false;
    bool progress = false;  ///< bars, where standard error is a terminal
};

/// Rows of words under headings, aligned. A heading that begins with '>' is a column of numbers.
class Table {
public:
    explicit Table(std::vector<std::string> headings);
    void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
    void print(std::ostream& out) const;

private:
    std::vector<std::string> headings_;
    std::vector<bool> to_the_right_;
    std::vector<std::vector<std::string>> rows_;
};

/// Asks on standard error and reads standard input: only y or yes is a yes. Blocks.
bool agrees(const std::string& question);

/// Whether the locale says that output may hold more than ASCII.
bool speaks_utf8();

/// What a peer wrote, for a terminal: one line, escaped, cut. "-" for nothing.
std::string plain(std::string_view text);
/// The same as a JSON string.
boost::json::value json_string(std::string_view text);
/// Seconds since 1970 as "2026-11-25 09:30:00Z"; "-" for 0.
std::string time_text(std::int64_t time);
/// The same as "2026-11-25T09:30:00Z"; null for 0.
boost::json::value json_time(std::int64_t time);
/// One document on a line of its own.
void print_json(std::ostream& out, const boost::json::value& value);

}  // namespace popgate::commands
