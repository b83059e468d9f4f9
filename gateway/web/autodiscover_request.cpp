#include "gateway/web/autodiscover_request.hpp"

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace popgate::web {

namespace {

constexpr std::size_t deepest = 16;
constexpr std::size_t longest_text = 1024;
constexpr std::string_view spaces = " \t\r\n";

std::string_view trim(std::string_view text) {
    const auto first = text.find_first_not_of(spaces);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(spaces) - first + 1);
}

std::string_view local_name(std::string_view name) { return name.substr(name.rfind(':') + 1); }

/// "&amp;" to "&". Nothing for an entity of a document type, and for what is no visible ASCII: addresses are that.
std::optional<std::string> decode_text(std::string_view text) {
    constexpr std::pair<std::string_view, char> entities[] = {
        {"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
    std::string decoded;
    while (!text.empty()) {
        const auto reference = text.find('&');
        decoded += text.substr(0, reference);
        if (reference == std::string_view::npos) break;
        text.remove_prefix(reference + 1);
        const auto end = text.find(';');
        if (end == std::string_view::npos) return std::nullopt;
        auto name = text.substr(0, end);
        text.remove_prefix(end + 1);
        std::uint32_t value = 0;
        if (name.starts_with('#')) {
            name.remove_prefix(1);
            const bool hex = name.starts_with('x');
            if (hex) name.remove_prefix(1);
            const auto [stop, error] = std::from_chars(name.data(), name.data() + name.size(), value, hex ? 16 : 10);
            if (error != std::errc() || stop != name.data() + name.size()) return std::nullopt;
        } else {
            for (const auto& [known, character] : entities)
                if (name == known) value = static_cast<unsigned char>(character);
        }
        if (value < 0x20 || value > 0x7E) return std::nullopt;
        decoded += static_cast<char>(value);
    }
    for (const char c : decoded)
        if (c < 0x20 || c > 0x7E) return std::nullopt;
    return decoded;
}

}  // namespace

std::optional<AutodiscoverRequest> parse_autodiscover_request(std::string_view xml) {
    AutodiscoverRequest request;
    if (xml.starts_with("\xEF\xBB\xBF")) xml.remove_prefix(3);
    if (xml.starts_with("<?xml")) {
        const auto end = xml.find("?>");
        if (end == std::string_view::npos || xml.find('<', 1) < end) return std::nullopt;
        xml.remove_prefix(end + 2);
    }
    std::vector<std::string_view> open;
    bool has_ended = false;
    bool after_child = false;    // text that follows would be mixed with elements
    std::string_view last_text;  // since the last tag
    while (!xml.empty()) {
        const auto tag = xml.find('<');
        last_text = trim(xml.substr(0, tag));
        if (open.empty() && !last_text.empty()) return std::nullopt;
        if (tag == std::string_view::npos) break;
        xml.remove_prefix(tag + 1);
        if (xml.starts_with("!--")) {
            const auto end = xml.find("-->", 3);
            // Text on both sides of a comment would have to be joined: nobody writes that.
            if (end == std::string_view::npos || !last_text.empty()) return std::nullopt;
            xml.remove_prefix(end + 3);
            continue;
        }
        const auto end = xml.find('>');
        if (end == std::string_view::npos || xml.starts_with('!') || xml.starts_with('?')) return std::nullopt;
        auto inside = xml.substr(0, end);
        if (inside.find('<') != std::string_view::npos) return std::nullopt;
        xml.remove_prefix(end + 1);
        if (inside.starts_with('/')) {
            const auto name = trim(inside.substr(1));
            if (open.empty() || name != open.back() || (after_child && !last_text.empty())) return std::nullopt;
            open.pop_back();
            after_child = true;
            has_ended = open.empty();
            auto* const wanted = local_name(name) == "EMailAddress"               ? &request.address
                                 : local_name(name) == "AcceptableResponseSchema" ? &request.response_schema
                                                                                  : nullptr;
            if (wanted) {
                auto value = last_text.size() <= longest_text ? decode_text(last_text) : std::nullopt;
                if (!value || value->empty() || !wanted->empty()) return std::nullopt;
                *wanted = std::move(*value);
            }
            continue;
        }
        if (has_ended || !last_text.empty()) return std::nullopt;  // a second root, or text beside elements
        const bool is_empty = inside.ends_with('/');
        if (is_empty) inside.remove_suffix(1);
        const auto name = inside.substr(0, inside.find_first_of(spaces));
        if (name.empty() || name.find_first_of("<=\"'&") != std::string_view::npos) return std::nullopt;
        after_child = is_empty;
        if (is_empty) {
            has_ended = open.empty();
            continue;
        }
        if (open.size() == deepest) return std::nullopt;
        open.push_back(name);
    }
    if (!open.empty() || request.address.empty() || request.response_schema.empty()) return std::nullopt;
    return request;
}

}  // namespace popgate::web
