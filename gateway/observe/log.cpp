#include "gateway/observe/log.hpp"

#include "gateway/config/names.hpp"
#include "gateway/observe/escape.hpp"
#include "gateway/observe/log_file.hpp"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <array>
#include <atomic>
#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>

namespace popgate {

namespace {

/// The log file, or standard error where there is none.
class LogSink final : public spdlog::sinks::base_sink<std::mutex> {
public:
    Status set_file(const std::string& path, LogFile::LossLine loss_line) {
        const std::lock_guard guard(mutex_);
        if (file_ && file_->path() == path) return {};
        if (path.empty()) return file_.reset(), Status{};
        auto file = LogFile::open(path, std::move(loss_line));
        if (file.has_error()) return file.error();
        file_ = std::move(*file);
        return {};
    }
    Status reopen() {
        const std::lock_guard guard(mutex_);
        return file_ ? file_->reopen() : Status{};
    }

protected:
    void sink_it_(const spdlog::details::log_msg& message) override {
        const std::string_view line(message.payload.data(), message.payload.size());
        if (file_) return file_->write(line);
        const std::string with_end = std::string(line) + '\n';
        std::fwrite(with_end.data(), 1, with_end.size(), stderr);
    }
    void flush_() override {}

private:
    std::unique_ptr<LogFile> file_;
};

struct Log {
    std::atomic<LogFormat> format = LogFormat::text;
    std::shared_ptr<LogSink> sink = std::make_shared<LogSink>();
    spdlog::logger logger{"popgate", sink};

    Log() { logger.set_level(spdlog::level::info); }
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

Status set_up_log(const LogConfig& config) {
    const auto loss_line = [](std::uint64_t lost) {
        return format_log_line(the_log().format, timestamp(), LogLevel::warning, "log_lost", {{"lines", lost}});
    };
    if (auto status = the_log().sink->set_file(config.file, loss_line); status.has_error()) return status;
    the_log().format = config.format;
    the_log().logger.set_level(to_spdlog(config.level));
    return {};
}

void reopen_log() {
    if (auto status = the_log().sink->reopen(); status.has_error())
        log(LogLevel::error, "log_not_reopened", {{"error", status.error().text}});
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
