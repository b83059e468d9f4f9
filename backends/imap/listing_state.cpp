#include "backends/imap/listing_state.hpp"

#include <charconv>

namespace popgate::imap {

namespace {

constexpr std::string_view version = "imap1";
constexpr std::string_view without_dates = " undated";

template <class Number>
bool take(std::string_view& text, std::string_view name, Number& number) {
    if (!text.starts_with(name)) return false;
    text.remove_prefix(name.size());
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return error == std::errc{};
}

}  // namespace

std::string to_text(const ListingState& state) {
    return std::string(version) + " validity=" + std::to_string(state.uid_validity) +
           " next=" + std::to_string(state.uid_next) + " modseq=" + std::to_string(state.highest_modseq) +
           std::string(state.has_dates ? "" : without_dates);
}

std::optional<ListingState> parse_listing_state(std::string_view text) {
    ListingState state;
    if (!text.starts_with(version)) return std::nullopt;
    text.remove_prefix(version.size());
    if (!take(text, " validity=", state.uid_validity) || !take(text, " next=", state.uid_next) ||
        !take(text, " modseq=", state.highest_modseq) || state.uid_validity == 0)
        return std::nullopt;
    state.has_dates = text != without_dates;
    if (state.has_dates && !text.empty()) return std::nullopt;
    return state;
}

}  // namespace popgate::imap
