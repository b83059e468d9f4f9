#include "gateway/commands/header_summary.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <stdexcept>

namespace popgate::commands {

namespace {

// Where a value is cut: a message-id may fill a line (RFC 5322 §2.1.1), the others are for the eye.
constexpr std::size_t longest_message_id = 998;
constexpr std::size_t longest_value = 200;

// Written by mail stores and mail programs for themselves, and by some only when a client asks for the message.
constexpr std::array<std::string_view, 11> store_fields = {
    "status",     "x-status", "x-uid",          "x-uidl",      "x-keywords",        "x-imap",
    "x-imapbase", "lines",    "content-length", "x-evolution", "x-evolution-source"};
constexpr std::string_view mozilla_prefix = "x-mozilla-";

// Each delivery puts some of these on top.
constexpr std::array<std::string_view, 5> trace_fields = {"received", "return-path", "delivered-to", "x-original-to",
                                                          "envelope-to"};

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string lower_case(std::string_view text) {
    std::string lower(text);
    std::ranges::transform(lower, lower.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
    return lower;
}

std::string sha256(std::string_view octets) {
    std::string digest(32, '\0');
    std::size_t size = digest.size();
    if (EVP_Q_digest(nullptr, "SHA256", nullptr, octets.data(), octets.size(),
                     reinterpret_cast<unsigned char*>(digest.data()), &size) != 1)
        throw std::runtime_error("OpenSSL has no SHA-256");
    return digest;
}

struct Field {
    std::string_view whole;  // with its continuation lines, and the LF
    std::string_view name;   // empty: no field at all
    std::string_view value;
};

/// Takes the first field off `header`.
Field take_field(std::string_view& header) {
    std::size_t end = 0;
    do {
        const auto line_end = header.find('\n', end);
        end = line_end == std::string_view::npos ? header.size() : line_end + 1;
    } while (end < header.size() && (header[end] == ' ' || header[end] == '\t'));
    Field field{header.substr(0, end), {}, {}};
    header.remove_prefix(end);
    const auto colon = field.whole.find(':');
    if (colon == std::string_view::npos) return field;
    auto name = field.whole.substr(0, colon);
    while (!name.empty() && (name.back() == ' ' || name.back() == '\t')) name.remove_suffix(1);
    if (std::ranges::any_of(name, is_blank)) return field;
    field.name = name;
    field.value = field.whole.substr(colon + 1);
    return field;
}

std::string unfolded(std::string_view value, std::size_t longest) {
    std::string text;
    bool blank = false;
    for (const char c : value) {
        if (is_blank(c)) {
            blank = true;
            continue;
        }
        if (blank && !text.empty()) text += ' ';
        blank = false;
        text += c;
        if (text.size() >= longest) break;
    }
    return text;
}

bool belongs_to_the_store(std::string_view lower_name) {
    return lower_name.starts_with(mozilla_prefix) || std::ranges::find(store_fields, lower_name) != store_fields.end();
}

bool is_envelope_of_mbox(std::string_view line) { return line.starts_with("From ") || line.starts_with(">From "); }

std::string hash_unless_empty(const std::string& text) { return text.empty() ? std::string() : sha256(text); }

}  // namespace

HeaderSummary summarise_header(std::string_view header) {
    HeaderSummary summary;
    std::string block, block_without_trace, to;
    bool at_top = true;
    while (!header.empty()) {
        const Field field = take_field(header);
        const std::string name = lower_case(field.name);
        if (belongs_to_the_store(name) || (at_top && is_envelope_of_mbox(field.whole))) continue;
        at_top = at_top && std::ranges::find(trace_fields, name) != trace_fields.end();
        // The last line has no end when the message has none.
        std::string_view whole = field.whole;
        if (whole.ends_with('\n')) whole.remove_suffix(1);
        block.append(whole) += '\n';
        if (!at_top) block_without_trace.append(whole) += '\n';

        const auto keep = [&](std::string_view wanted, std::string& value, std::size_t longest) {
            if (name == wanted && value.empty()) value = unfolded(field.value, longest);
        };
        keep("message-id", summary.message_id, longest_message_id);
        keep("date", summary.date, longest_value);
        keep("from", summary.from, longest_value);
        keep("subject", summary.subject, longest_value);
        keep("to", to, longest_value);
    }
    summary.block = hash_unless_empty(block);
    summary.block_without_trace = hash_unless_empty(block_without_trace);
    const std::array<const std::string*, 4> looks = {&summary.date, &summary.from, &to, &summary.subject};
    if (std::ranges::count_if(looks, [](const std::string* value) { return !value->empty(); }) >= 2) {
        std::string text;
        for (const std::string* value : looks) text.append(*value) += '\n';
        summary.looks = sha256(text);
    }
    return summary;
}

bool HeaderCollector::write(std::string_view octets) noexcept {
    for (const char c : octets) {
        if (complete_) return false;
        if (c != '\n') {
            text_ += c;
        } else {
            if (text_.ends_with('\r')) text_.pop_back();
            complete_ = text_.empty() || text_.back() == '\n';
            if (!complete_) text_ += c;
        }
        complete_ = complete_ || text_.size() >= longest;
    }
    return !complete_;
}

}  // namespace popgate::commands
