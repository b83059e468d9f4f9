#include "gateway/config/view.hpp"

#include "gateway/config/names.hpp"

#include <charconv>
#include <optional>

namespace popgate {

namespace {

constexpr std::uint32_t most = 1'000'000;

struct ViewUnit {
    std::string_view one, many;
    View::Kind kind;
};
constexpr ViewUnit view_units[] = {{" day", " days", View::Kind::last_days},
                                   {" message", " messages", View::Kind::last_messages}};
constexpr std::string_view last = "last ";

std::optional<View> parse_last(std::string_view text) {
    if (!text.starts_with(last)) return {};
    text.remove_prefix(last.size());
    View view;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, view.count);
    if (error == std::errc::result_out_of_range) view.count = most + 1;
    if (rest == text.data()) return {};
    const std::string_view name(rest, static_cast<std::size_t>(end - rest));
    for (const ViewUnit& unit : view_units) {
        view.kind = unit.kind;
        if (name == unit.many || name == unit.one) return view;
    }
    return {};
}

}  // namespace

Result<View> parse_view(std::string_view text) {
    if (text == "all") return View{};
    if (text == "unread") return View{View::Kind::unread, 0};
    const std::optional<View> view = parse_last(text);
    if (!view) {
        return Error{Errc::permanent, in_quotes(text) + " is no view; write one as " + std::string(view_forms), {}};
    }
    if (view->count == 0 || view->count > most) {
        return Error{Errc::permanent, in_quotes(text) + " must count from 1 to " + std::to_string(most), {}};
    }
    return *view;
}

std::string view_text(const View& view) {
    if (view.kind == View::Kind::all) return "all";
    if (view.kind == View::Kind::unread) return "unread";
    const ViewUnit& unit = view_units[view.kind == View::Kind::last_days ? 0 : 1];
    return std::string(last) + std::to_string(view.count) + std::string(view.count == 1 ? unit.one : unit.many);
}

}  // namespace popgate
