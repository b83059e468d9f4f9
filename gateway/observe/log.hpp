#pragma once

#include "backends/errors.hpp"
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

/// Sets where the log goes, format and level; what was logged before went to standard error. Safe from any thread, and
/// again at any time: the same file stays open. Errc::permanent: the file cannot be opened, and nothing has changed;
/// the text names file and cause.
Status set_up_log(const LogConfig& config);

/// Goes on in whatever file has the log file's name now, after a rotation. Where it cannot be opened the log says so
/// and stays in the old one. Safe from any thread.
void reopen_log();

/// Writes one line: time, level, event, fields. Control characters, quotes and bytes that are no UTF-8 are
/// escaped and long values cut, so that no peer can forge a line. Safe from any thread. Never give it a secret.
void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields);

/// The text of one line, as log() writes it (for tests).
std::string format_log_line(LogFormat format, std::string_view time, LogLevel level, std::string_view event,
                            std::initializer_list<LogField> fields);

}  // namespace popgate
