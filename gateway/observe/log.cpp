#include "gateway/observe/log.hpp"

#include "gateway/config/names.hpp"
#include "gateway/observe/escape.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <array>
#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <type_traits>

namespace popgate {

namespace {

struct Log {
    LogFormat format = LogFormat::text;
    spdlog::logger logger{"popgate", std::make_shared<spdlog::sinks::stderr_sink_mt>()};

    Log() {
        logger.set_pattern("%v");
        logger.set_level(spdlog::level::info);
        logger.flush_on(spdlog::level::trace);
    }
};

Log& the_log() {
    static Log instance;
    return instance;
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
    switch (level) {
        case LogLevel::debug: return spdlog::level::debug;
        case LogLevel::info: return spdlog::level::info;
        case LogLevel::warning: return spdlog::level::warn;
        case LogLevel::error: return spdlog::level::err;
    }
    return spdlog::level::err;
}

std::string timestamp() {
    const auto now = std::chrono::system_clock::now();
    const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
    const auto milliseconds =
        std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    std::array<char, 32> day{};
    std::strftime(day.data(), day.size(), "%Y-%m-%dT%H:%M:%S", &utc);
    return fmt::format("{}.{:03}Z", day.data(), milliseconds);
}

std::string text_line(std::string_view time, LogLevel level, std::string_view event,
                      std::initializer_list<LogField> fields) {
    std::string line = fmt::format("{} {} {}", time, name_of(level, log_level_names), event);
    for (const LogField& field : fields) {
        line += fmt::format(" {}=", field.name);
        std::visit(
            [&](const auto& value) {
                if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string_view>) {
                    line += quoted_text(value);
                } else {
                    line += fmt::format("{}", value);
                }
            },
            field.value);
    }
    return line;
}

std::string json_line(std::string_view time, LogLevel level, std::string_view event,
                      std::initializer_list<LogField> fields) {
    boost::json::object line;
    const auto key = [](std::string_view text) { return boost::json::string_view(text.data(), text.size()); };
    line[key("time")] = boost::json::string(key(time));
    line[key("level")] = boost::json::string(key(name_of(level, log_level_names)));
    line[key("event")] = boost::json::string(key(event));
    for (const LogField& field : fields) {
        std::visit(
            [&](const auto& value) {
                if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string_view>) {
                    line[key(field.name)] = boost::json::string(json_text(value));
                } else {
                    line[key(field.name)] = value;
                }
            },
            field.value);
    }
    return escape_json_controls(boost::json::serialize(line));
}

}  // namespace

void set_up_log(const LogConfig& config) {
    the_log().format = config.format;
    the_log().logger.set_level(to_spdlog(config.level));
}

void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
    Log& target = the_log();
    if (!target.logger.should_log(to_spdlog(level))) return;
    const std::string line = format_log_line(target.format, timestamp(), level, event, fields);
    target.logger.log(to_spdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

std::string format_log_line(LogFormat format, std::string_view time, LogLevel level, std::string_view event,
                            std::initializer_list<LogField> fields) {
    return format == LogFormat::json ? json_line(time, level, event, fields) : text_line(time, level, event, fields);
}

}  // namespace popgate
