#include "gateway/config/environment.hpp"

#include "gateway/config/assign.hpp"
#include "gateway/config/lay_over.hpp"
#include "gateway/config/names.hpp"
#include "gateway/config/nearest.hpp"
#include "gateway/config/options.hpp"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <tuple>
#include <utility>

namespace popgate {

namespace {

constexpr std::string_view variable_prefix = "POPGATE_";
constexpr std::size_t most_elements = 1000;  // of a list

std::string upper(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return out;
}

/// All of `text` as a number; nothing for "007" as well, which would be a second name for the same.
template <class Number>
std::optional<Number> number_in(std::string_view text) {
    Number value{};
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || rest != end) return {};
    if (std::to_string(value) != text) return {};
    return value;
}

/// A variable's name, taken apart.
struct Place {
    const Section* section = nullptr;
    std::optional<std::size_t> index;  ///< of a list's element
    std::string key;                   ///< as the variable has it, in capitals
    std::optional<Option> option;      ///< points into a scratch configuration: only its type is of use
};

Place place_in(const Section& section, std::string_view rest) {
    Place place{&section, {}, {}, {}};
    if (section.is_list) {
        const std::size_t end = rest.find('_');
        place.index = number_in<std::size_t>(rest.substr(0, end));
        if (place.index && *place.index >= most_elements) place.index.reset();
        if (place.index) rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    }
    place.key = rest;
    if (section.is_list && !place.index) return place;
    Config scratch;
    for (const Option& option : section.open(scratch)) {
        if (upper(option.key) == place.key) place.option = option;
    }
    return place;
}

/// The section whose name the variable begins with: of several the one that knows the key, else the longest.
std::optional<Place> find_place(std::string_view variable) {
    const std::string_view rest = variable.substr(variable_prefix.size());
    std::optional<Place> best;
    for (const Section& section : sections()) {
        const std::string start = upper(section.name) + '_';
        if (!rest.starts_with(start)) continue;
        Place place = place_in(section, rest.substr(start.size()));
        const auto rank = [](const Place& each) {
            return std::make_tuple(each.option.has_value(), each.section->name.size());
        };
        if (!best || rank(place) > rank(*best)) best = std::move(place);
    }
    return best;
}

std::string section_path(const Place& place) {
    std::string path(place.section->name);
    if (place.index) path += '[' + std::to_string(*place.index) + ']';
    return path;
}

std::string no_key(const Place& place) {
    Config scratch;
    const std::vector<Option> options = place.section->open(scratch);
    std::vector<std::string_view> keys;
    for (const Option& option : options) keys.push_back(option.key);
    std::string wanted = place.key;
    std::transform(wanted.begin(), wanted.end(), wanted.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    std::string path(place.section->name);
    if (place.section->is_list) path += '[' + std::to_string(place.index.value_or(0)) + ']';
    const std::string meant = variable_name(path + '.' + std::string(nearest(wanted, keys)));
    if (place.section->is_list && !place.index) {
        return "there may be several of [[" + std::string(place.section->name) +
               "]]: their number, from 0, is part of the name; did you mean " + meant + "?";
    }
    return "names no key of [" + std::string(place.section->name) + "]; did you mean " + meant + "?";
}

/// A text as a value of the key's type, put under the key; or what is wrong with it.
struct Insert {
    toml::table& table;
    std::string_view key;
    const std::string& text;

    Verdict put_flag() const {
        if (text != "true" && text != "false") return Finding{"must be true or false, not " + in_quotes(text)};
        table.insert_or_assign(key, text == "true");
        return {};
    }
    Verdict put_text() const {
        table.insert_or_assign(key, text);
        return {};
    }
    /// A number of seconds is a number, everything else a text.
    Verdict put_duration() const {
        const auto seconds = number_in<std::int64_t>(text);
        if (!seconds) return put_text();
        table.insert_or_assign(key, *seconds);
        return {};
    }

    Verdict operator()(bool*) const { return put_flag(); }
    Verdict operator()(std::optional<bool>*) const { return put_flag(); }
    Verdict operator()(const NumberTarget&) const {
        const auto number = number_in<std::int64_t>(text);
        if (!number) return Finding{"must be an integer, not " + in_quotes(text)};
        table.insert_or_assign(key, *number);
        return {};
    }
    Verdict operator()(std::chrono::milliseconds*) const { return put_duration(); }
    Verdict operator()(const SwitchedDurationTarget&) const { return put_duration(); }
    Verdict operator()(const ExpiryTarget&) const { return put_duration(); }
    template <class T>
    Verdict operator()(const T&) const {
        return put_text();
    }
};

class Layers {
public:
    explicit Layers(toml::table& root) : root_(root) {}

    void put(const std::string& variable, const Place& place, const std::string& text) {
        const std::string path = section_path(place) + '.' + std::string(place.option->key);
        toml::table* const table = table_of(variable, place);
        if (!table) return;
        if (const Verdict problem = std::visit(Insert{*table, place.option->key, text}, place.option->target)) {
            return complain(variable, path, problem->text);
        }
        out_.variables[path] = variable;
    }

    void complain(const std::string& variable, std::string key, std::string text) {
        out_.problems.push_back({variable, 0, std::move(key), std::move(text)});
    }

    FromEnvironment done() { return std::move(out_); }

private:
    /// Null where there can be none; where the file has something else there it will be told for that.
    toml::table* table_of(const std::string& variable, const Place& place) {
        const std::string_view name = place.section->name;
        if (!root_.contains(name)) {
            if (place.section->is_list) {
                root_.insert(name, toml::array{});
            } else {
                root_.insert(name, toml::table{});
                out_.made.emplace_back(name);
            }
        }
        toml::node& node = *root_.get(name);
        if (!place.section->is_list) return node.as_table();
        toml::array* const list = node.as_array();
        if (!list) return nullptr;
        if (*place.index > list->size()) {
            complain(variable, section_path(place),
                     "the one before it is missing: " + section_path({place.section, list->size(), {}, {}}));
            return nullptr;
        }
        if (*place.index == list->size()) {
            list->push_back(toml::table{});
            out_.made.push_back(section_path(place));
        }
        return list->get(*place.index)->as_table();
    }

    toml::table& root_;
    FromEnvironment out_;
};

/// Takes a value out of the environment, and out of what /proc shows of it.
void wipe_variable(const std::string& name) {
    if (char* const value = std::getenv(name.c_str())) std::memset(value, '*', std::strlen(value));
    ::unsetenv(name.c_str());
}

Environment take_environment() {
    Environment out;
    for (char** each = environ; each && *each; ++each) {
        const std::string_view variable(*each);
        const std::size_t equals = variable.find('=');
        if (equals == std::string_view::npos || !variable.starts_with(variable_prefix)) continue;
        out.emplace(variable.substr(0, equals), variable.substr(equals + 1));
    }
    for (const auto& [name, value] : out) {
        const auto place = find_place(name);
        if (place && place->option && place->option->is_secret) wipe_variable(name);
    }
    return out;
}

}  // namespace

const Environment& process_environment() {
    static const Environment taken = take_environment();
    return taken;
}

bool is_enough(const Environment& environment) { return environment.contains(variable_name("route[0].backend")); }

std::string variable_name(std::string_view path) {
    std::string out(variable_prefix);
    for (const char c : upper(path)) {
        if (c == '.' || c == '[')
            out += '_';
        else if (c != ']')
            out += c;
    }
    return out;
}

FromEnvironment lay_over(toml::table& root, const Environment& environment) {
    Layers layers(root);
    std::vector<std::pair<Place, const Environment::value_type*>> found;
    for (const auto& variable : environment) {
        if (!variable.first.starts_with(variable_prefix)) continue;
        auto place = find_place(variable.first);
        if (!place) continue;
        if (place->option) {
            found.emplace_back(std::move(*place), &variable);
        } else {
            layers.complain(variable.first, "", no_key(*place));
        }
    }
    // POPGATE_ROUTE_10_… comes before POPGATE_ROUTE_2_… by its name.
    std::stable_sort(found.begin(), found.end(),
                     [](const auto& a, const auto& b) { return a.first.index < b.first.index; });
    for (const auto& [place, variable] : found) layers.put(variable->first, place, variable->second);
    return layers.done();
}

}  // namespace popgate
