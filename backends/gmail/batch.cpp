#include "backends/gmail/batch.hpp"

#include "backends/ascii.hpp"

#include <algorithm>
#include <charconv>

namespace popgate::gmail {

namespace {

constexpr std::string_view boundary = "popgate_batch";  // no target holds it behind a line end and "--"

Error bad_batch(std::string detail) {
    return {Errc::temporary, "the mail server does not answer as it should", "batch: " + std::move(detail)};
}

bool starts_with_word(std::string_view text, std::string_view word) {
    return text.size() >= word.size() && std::ranges::equal(text.substr(0, word.size()), word, {}, lower, lower);
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
    return text;
}

/// Takes a line off `text`, without its line end (CRLF or LF). False at the end.
bool take_line(std::string_view& text, std::string_view& line) {
    if (text.empty()) return false;
    const auto end = text.find('\n');
    line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return true;
}

/// The parameter of a Content-Type, with or without quotes.
std::string_view boundary_of(std::string_view content_type) {
    if (!starts_with_word(content_type, "multipart/")) return {};
    while (!content_type.empty()) {
        const auto semicolon = content_type.find(';');
        if (semicolon == std::string_view::npos) return {};
        content_type = trim(content_type.substr(semicolon + 1));
        if (!starts_with_word(content_type, "boundary=")) continue;
        content_type.remove_prefix(9);
        if (content_type.starts_with('"')) {
            content_type.remove_prefix(1);
            const auto end = content_type.find('"');
            return end == std::string_view::npos ? std::string_view() : content_type.substr(0, end);
        }
        return trim(content_type.substr(0, content_type.find(';')));
    }
    return {};
}

/// What stands between the boundaries, each without the line end before its boundary.
std::optional<std::vector<std::string_view>> parts_of(std::string_view body, std::string_view delimiter) {
    std::vector<std::string_view> parts;
    const auto whole = body;
    std::optional<std::size_t> begin;
    std::string_view line;
    for (std::size_t place = 0; take_line(body, line); place = whole.size() - body.size()) {
        const auto rest = line.starts_with(delimiter) ? trim(line.substr(delimiter.size())) : std::string_view("x");
        if (!rest.empty() && rest != "--") continue;
        if (begin) {
            auto part = whole.substr(*begin, place - *begin);
            if (part.ends_with('\n')) part.remove_suffix(1);
            if (part.ends_with('\r')) part.remove_suffix(1);
            parts.push_back(part);
        }
        if (!rest.empty()) return parts;
        begin = whole.size() - body.size();
    }
    return std::nullopt;
}

/// The number of the question, from "<response-item-3>" or "response-item-3".
std::optional<std::size_t> number_in(std::string_view content_id) {
    content_id = trim(content_id);
    if (content_id.ends_with('>')) content_id.remove_suffix(1);
    const auto digits = content_id.substr(content_id.rfind('-') + 1);
    std::size_t number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return number;
}

std::optional<int> status_in(std::string_view line) {
    const auto space = line.find(' ');
    if (!line.starts_with("HTTP/") || space == std::string_view::npos) return std::nullopt;
    int status = 0;
    const auto digits = line.substr(space + 1, 3);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), status);
    if (error != std::errc() || end != digits.data() + 3 || status < 100) return std::nullopt;
    return status;
}

struct Part {
    std::optional<std::size_t> number;
    BatchAnswer answer;
};

std::optional<Part> parse_part(std::string_view text) {
    Part part;
    std::string_view line;
    for (;;) {
        if (!take_line(text, line)) return std::nullopt;
        if (line.empty()) break;
        constexpr std::string_view name = "Content-ID:";
        if (starts_with_word(line, name)) part.number = number_in(line.substr(name.size()));
    }
    if (!take_line(text, line)) return std::nullopt;
    const auto status = status_in(line);
    if (!status) return std::nullopt;
    part.answer.status = *status;
    while (take_line(text, line))
        if (line.empty()) break;
    part.answer.body = text;
    return part;
}

}  // namespace

std::string make_batch(const std::vector<std::string>& targets) {
    std::string body;
    for (std::size_t i = 0; i < targets.size(); ++i) {
        body.append("--").append(boundary).append("\r\nContent-Type: application/http\r\nContent-ID: <item-");
        body.append(std::to_string(i)).append(">\r\n\r\nGET ").append(targets[i]).append(" HTTP/1.1\r\n\r\n\r\n");
    }
    return body.append("--").append(boundary).append("--\r\n");
}

Result<std::vector<std::optional<BatchAnswer>>> parse_batch(std::string_view content_type, std::string_view body,
                                                            std::size_t asked) {
    const auto name = boundary_of(content_type);
    if (name.empty()) return bad_batch("no multipart answer");
    const auto parts = parts_of(body, "--" + std::string(name));
    if (!parts) return bad_batch("it ends too early");
    std::vector<std::optional<BatchAnswer>> answers(asked);
    for (const auto& text : *parts) {
        auto part = parse_part(text);
        if (!part) return bad_batch("a part that is no answer");
        // Which question it answers must be beyond doubt.
        if (!part->number || *part->number >= asked || answers[*part->number])
            return bad_batch("an answer to no question");
        answers[*part->number] = std::move(part->answer);
    }
    return answers;
}

}  // namespace popgate::gmail
