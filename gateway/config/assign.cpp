#include "gateway/config/assign.hpp"

#include "gateway/config/names.hpp"

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
    Verdict operator()(std::chrono::milliseconds* duration) const {
        if (!node.is_integer() && !node.is_string()) {
            return wrong_type(R"(a duration such as "500ms", "60s", "10m" or "12h")", node);
        }
        // Longer than the longest is the same as the longest and one more: both are refused, and neither overflows.
        const std::int64_t most = std::chrono::seconds(longest_duration).count() + 1;
        const std::chrono::milliseconds value =
            node.is_string() ? parse_duration(**node.as_string())
                             : std::chrono::seconds(std::clamp<std::int64_t>(**node.as_integer(), 0, most));
        if (value < std::chrono::milliseconds::zero()) {
            return Finding{in_quotes(**node.as_string()) +
                           R"( is no duration; write one as "500ms", "60s", "10m" or "12h")"};
        }
        if (value == std::chrono::milliseconds::zero()) return Finding{"must be longer than 0"};
        if (value > longest_duration) return Finding{"must be at most " + duration_text(longest_duration)};
        *duration = value;
        return {};
    }
    Verdict operator()(const ChoiceTarget& choice) const {
        const auto value = node.value_exact<std::string>();
        if (!value) return wrong_type("one of " + listed(choice.names), node);
        const auto found = std::find(choice.names.begin(), choice.names.end(), *value);
        if (found == choice.names.end()) return not_among(*value, choice.names);
        choice.choose(static_cast<std::size_t>(found - choice.names.begin()));
        return {};
    }
    Verdict operator()(const ForeseenTarget& foreseen) const {
        if (foreseen.is_boolean ? !node.is_boolean() : !node.is_string()) {
            return wrong_type(foreseen.is_boolean ? "true or false" : "a string", node);
        }
        const std::string value = foreseen.is_boolean ? (**node.as_boolean() ? "true" : "false") : **node.as_string();
        const auto holds = [&](const std::vector<std::string_view>& names) {
            return std::find(names.begin(), names.end(), value) != names.end();
        };
        if (holds(foreseen.now)) return {};
        if (!holds(foreseen.later)) return not_among(value, foreseen.now);
        return Finding{"this version does not have " + (foreseen.is_boolean ? value : in_quotes(value)) +
                       "; it has only " + (foreseen.is_boolean ? std::string(foreseen.now[0]) : listed(foreseen.now))};
    }
    Verdict operator()(const IgnoredTarget&) const {
        if (!node.is_string()) return wrong_type("a string", node);
        return Finding{"has no effect in this version", true};
    }

    static Finding not_among(std::string_view value, const std::vector<std::string_view>& names) {
        return {in_quotes(value) + " is not one of " + listed(names)};
    }
};

}  // namespace

Verdict assign(const Target& target, const toml::node& node, const std::filesystem::path& folder) {
    return std::visit(Assign{node, folder}, target);
}

}  // namespace popgate
