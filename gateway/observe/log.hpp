#pragma once

#include "gateway/config/config.hpp"

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

namespace popgate {

/// One named value of a log line.
struct LogField {
    std::string_view name;
    std::variant<std::string_view, std::int64_t, std::uint64_t, bool> value;
};

/// Sets format and level; before any thread runs. The log goes to standard error.
void set_up_log(const LogConfig& config);

/// Writes one line: time, level, event, fields. Control characters, quotes and bytes that are no UTF-8 are
/// escaped and long values cut, so that no peer can forge a line. Safe from any thread. Never give it a secret.
void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields);

/// The text of one line, as log() writes it (for tests).
std::string format_log_line(LogFormat format, std::string_view time, LogLevel level, std::string_view event,
                            std::initializer_list<LogField> fields);

}  // namespace popgate
