#pragma once

#include "gateway/admin/control.hpp"

#include <boost/json/value.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace popgate::commands {

/// Of the server's JSON (docs/commands.md). Nothing where it is something else.
std::optional<std::vector<OpenSession>> parse_sessions(const boost::json::value& answer);

/// "45s", "3m12s", "4h05m", "3d04h".
std::string short_duration(std::chrono::milliseconds time);
/// "950", "1.5k", "23M".
std::string short_number(double value);

/// A table of them, for people.
void print_sessions(std::vector<OpenSession> sessions, std::ostream& out);

enum class SortBy { age, idle, octets, rate, user };

/// What `popgate top` shows: two samples or more of the same server, one after the other.
class TopView {
public:
    using Clock = std::chrono::steady_clock;

    /// `status` as in the server's status.json. False where one of the two is not what it should be.
    bool take(const boost::json::value& status, const boost::json::value& sessions, Clock::time_point now);
    void sort_by(SortBy by) { sort_by_ = by; }

    /// Two lines of totals, an empty one, and the table. Columns that matter less go where the lines would be wider
    /// than `columns`; 0 means any width. `rows` likewise, for all lines together.
    std::vector<std::string> lines(std::size_t columns, std::size_t rows) const;

private:
    struct Row {
        OpenSession session;
        double rate = 0;  // octets a second
    };

    std::vector<Row> sorted() const;

    std::string headline_;
    std::string started_;
    std::vector<Row> rows_;
    std::unordered_map<std::uint64_t, OpenSession> before_;
    std::optional<Clock::time_point> taken_;
    std::uint64_t last_id_ = 0;
    double octets_a_second_ = 0;
    double messages_a_second_ = 0;
    double sessions_a_second_ = 0;
    SortBy sort_by_ = SortBy::age;
};

}  // namespace popgate::commands
