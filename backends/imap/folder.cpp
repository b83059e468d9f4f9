#include "backends/imap/folder.hpp"

#include <algorithm>

namespace popgate::imap {

namespace {

constexpr std::size_t longest_name = 1000;

/// A quoted string at the front of `text`, taken from it.
std::optional<std::string> take_quoted(std::string_view& text) {
    if (!text.starts_with('"')) return std::nullopt;
    std::string value;
    for (std::size_t i = 1; i < text.size(); ++i) {
        if (text[i] == '"') {
            text.remove_prefix(i + 1);
            return value;
        }
        if (text[i] == '\\' && ++i == text.size()) break;
        value += text[i];
    }
    return std::nullopt;
}

std::optional<std::string> take_string(std::string_view& text) {
    if (text.starts_with('"')) return take_quoted(text);
    const auto atom = text.substr(0, text.find(' '));
    text.remove_prefix(atom.size());
    return std::string(atom);
}

}  // namespace

bool Folder::has(std::string_view upper_case_attribute) const {
    return (" " + attributes + " ").find(" " + std::string(upper_case_attribute) + " ") != std::string::npos;
}

bool Folder::has_special_use() const { return has("\\TRASH") || has("\\ARCHIVE") || has("\\ALL"); }

std::optional<Folder> parse_folder(std::string_view text, const std::string* literal) {
    const auto close = text.find(')');
    if (!text.starts_with('(') || close == std::string_view::npos) return std::nullopt;
    Folder folder{std::string(text.substr(1, close - 1)), {}};
    std::ranges::transform(folder.attributes, folder.attributes.begin(),
                           [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
    text.remove_prefix(close + 1);
    if (!text.starts_with(' ')) return std::nullopt;
    text.remove_prefix(1);
    if (!take_string(text) || !text.starts_with(' ')) return std::nullopt;  // the hierarchy's delimiter
    text.remove_prefix(1);
    auto name = literal ? std::optional(*literal) : take_string(text);
    const auto is_printable = [](unsigned char c) { return c >= 0x20 && c < 0x7F; };
    if (!name || name->empty() || name->size() > longest_name || !std::ranges::all_of(*name, is_printable) ||
        folder.has("\\NOSELECT"))
        return std::nullopt;
    folder.name = std::move(*name);
    return folder;
}

std::optional<std::string> choose_folder(const std::vector<Folder>& folders, SpecialFolder purpose, bool is_gmail) {
    const auto named = [&](std::string_view attribute) -> std::optional<std::string> {
        const auto found = std::ranges::find_if(folders, [&](const auto& each) { return each.has(attribute); });
        return found == folders.end() ? std::nullopt : std::optional(found->name);
    };
    if (purpose == SpecialFolder::trash) return named("\\TRASH");
    auto archive = named("\\ARCHIVE");
    return archive || !is_gmail ? archive : named("\\ALL");
}

}  // namespace popgate::imap
