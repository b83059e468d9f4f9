#include "gateway/config/assign.hpp"

#include "gateway/config/duration.hpp"
#include "gateway/config/names.hpp"
#include "gateway/config/view.hpp"

#include <algorithm>
#include <cstdint>

namespace popgate {

namespace {

std::string_view kind_of(const toml::node& node) {
    switch (node.type()) {
        case toml::node_type::table: return "a section";
        case toml::node_type::array: return "a list";
        case toml::node_type::string: return "a string";
        case toml::node_type::integer: return "an integer";
        case toml::node_type::floating_point: return "a number with a fraction";
        case toml::node_type::boolean: return "a boolean";
        default: return "a date or time";
    }
}

Finding wrong_type(std::string_view wanted, const toml::node& node) {
    return {"must be " + std::string(wanted) + ", not " + std::string(kind_of(node))};
}

struct Assign {
    const toml::node& node;
    const std::filesystem::path& folder;

    Verdict operator()(std::string* text) const {
        const auto value = node.value_exact<std::string>();
        if (!value) return wrong_type("a string", node);
        if (std::any_of(value->begin(), value->end(), is_control)) return Finding{"must not hold control characters"};
        *text = *value;
        return {};
    }
    Verdict operator()(const FileTarget& file) const {
        if (Verdict problem = (*this)(file.path)) return problem;
        if (!file.path->empty()) *file.path = (folder / *file.path).string();
        return {};
    }
    Verdict operator()(const KeyFileTarget& file) const {
        const auto value = node.value_exact<std::string>();
        if (value && value->starts_with("credential:")) return (*this)(file.path);
        return (*this)(FileTarget{file.path});
    }
    Verdict operator()(bool* flag) const {
        const auto value = node.value_exact<bool>();
        if (!value) return wrong_type("true or false", node);
        *flag = *value;
        return {};
    }
    Verdict operator()(const NumberTarget& number) const {
        const auto value = node.value_exact<std::int64_t>();
        if (!value) return wrong_type("an integer", node);
        if (*value < number.least || *value > number.most) {
            return Finding{"must be from " + std::to_string(number.least) + " to " + std::to_string(number.most) +
                           ", not " + std::to_string(*value)};
        }
        *number.value = static_cast<std::uint32_t>(*value);
        return {};
    }
    Verdict operator()(std::optional<bool>* flag) const { return (*this)(&flag->emplace()); }
    Verdict operator()(std::chrono::milliseconds* duration) const {
        if (Verdict problem = put_duration(*duration, longest_duration)) return problem;
        if (*duration == std::chrono::milliseconds::zero()) return Finding{"must be longer than 0"};
        return {};
    }
    Verdict operator()(const SwitchedDurationTarget& target) const {
        if (node.is_integer() && **node.as_integer() < 0) return Finding{"must not be negative"};
        return put_duration(*target.value, target.most);
    }
    Verdict put_duration(std::chrono::milliseconds& duration, std::chrono::milliseconds longest) const {
        const std::string forms(duration_forms);
        if (!node.is_integer() && !node.is_string()) return wrong_type("a duration such as " + forms, node);
        // Longer than the longest is the same as the longest and one more: both are refused, and neither overflows.
        const std::int64_t most = std::chrono::seconds(longest_duration).count() + 1;
        const std::chrono::milliseconds value =
            node.is_string() ? parse_duration(**node.as_string())
                             : std::chrono::seconds(std::clamp<std::int64_t>(**node.as_integer(), 0, most));
        if (value < std::chrono::milliseconds::zero()) {
            return Finding{in_quotes(**node.as_string()) + " is no duration; write one as " + forms};
        }
        if (value > longest) return Finding{"must be at most " + duration_text(longest)};
        duration = value;
        return {};
    }
    Verdict operator()(const ExpiryTarget& expiry) const {
        if (node.value_exact<std::string>() == "never") {
            *expiry.value = expiry.never;
            return {};
        }
        std::chrono::milliseconds duration{};
        if (Verdict problem = (*this)(&duration)) return problem;
        *expiry.value = duration;
        return {};
    }
    Verdict operator()(View* view) const {
        const auto value = node.value_exact<std::string>();
        if (!value) return wrong_type("one of " + std::string(view_forms), node);
        const Result<View> parsed = parse_view(*value);
        if (!parsed) return Finding{parsed.error().text};
        *view = *parsed;
        return {};
    }
    Verdict operator()(std::optional<View>* view) const { return (*this)(&view->emplace()); }
    Verdict operator()(const ChoiceTarget& choice) const {
        const auto value = node.value_exact<std::string>();
        if (!value) return wrong_type("one of " + listed(choice.names), node);
        const auto found = std::find(choice.names.begin(), choice.names.end(), *value);
        if (found == choice.names.end()) return Finding{in_quotes(*value) + " is not one of " + listed(choice.names)};
        choice.choose(static_cast<std::size_t>(found - choice.names.begin()));
        return {};
    }
};

}  // namespace

Verdict assign(const Target& target, const toml::node& node, const std::filesystem::path& folder) {
    return std::visit(Assign{node, folder}, target);
}

}  // namespace popgate
