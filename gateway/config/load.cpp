#include "gateway/config/assign.hpp"
#include "gateway/config/config.hpp"
#include "gateway/config/names.hpp"
#include "gateway/config/options.hpp"
#include "gateway/config/rest_apis.hpp"

#include <toml++/toml.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <numeric>
#include <optional>
#include <sstream>

namespace popgate {

namespace {

/// How many letters must be inserted, dropped, replaced or swapped with their neighbour to turn `a` into `b`.
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
    std::iota(cost[0].begin(), cost[0].end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replaced = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replaced});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
            }
        }
    }
    return cost[a.size()][b.size()];
}

/// The "key" or "name" of `known` that comes nearest to `word`.
template <class List, class NameOf>
std::string_view nearest(std::string_view word, const List& known, NameOf name_of) {
    // A key of any real length is short; a longer word is a mistake of another kind, and would only cost time.
    const std::string_view start = word.substr(0, 64);
    const auto distance = [&](const auto& entry) { return edit_distance(start, name_of(entry)); };
    return name_of(*std::min_element(known.begin(), known.end(),
                                     [&](const auto& a, const auto& b) { return distance(a) < distance(b); }));
}

std::string heading(const Section& section) {
    const std::string name(section.name);
    return section.is_list ? "[[" + name + "]]" : "[" + name + "]";
}

class Loader {
public:
    explicit Loader(const std::filesystem::path& file) : file_(file) {}

    LoadedConfig load() {
        if (const std::optional<std::string> text = read_file()) {
            try {
                read(toml::parse(*text));
                judge();
            } catch (const toml::parse_error& error) {
                add(error.source().begin.line, "syntax", std::string(error.description()));
            }
        }
        std::stable_sort(out_.problems.begin(), out_.problems.end(),
                         [](const ConfigProblem& a, const ConfigProblem& b) { return a.line < b.line; });
        return std::move(out_);
    }

private:
    std::optional<std::string> read_file() {
        errno = 0;
        std::ifstream in(file_, std::ios::binary);
        std::ostringstream text;
        if (in &&
            (in.peek() == std::ifstream::traits_type::eof() ? !in.bad() : static_cast<bool>(text << in.rdbuf()))) {
            return text.str();
        }
        add(0, "", std::string("cannot be read: ") + std::strerror(errno ? errno : EIO));
        return {};
    }

    void read(const toml::table& root) {
        for (const auto& [key, node] : root) {
            const auto section = std::find_if(sections().begin(), sections().end(),
                                              [&, name = key.str()](const Section& s) { return s.name == name; });
            if (section != sections().end()) {
                read_section(*section, key.source().begin.line, node);
            } else {
                add(key.source().begin.line, std::string(key.str()), unknown_section(key.str(), node));
            }
        }
    }

    void read_section(const Section& section, unsigned line, const toml::node& node) {
        const std::string name(section.name);
        lines_[name] = line;
        if (const toml::array* list = node.as_array(); section.is_list && list) {
            std::size_t index = 0;
            for (const toml::node& element : *list) {
                read_options(section, name + '[' + std::to_string(index++) + ']', element);
            }
        } else if (section.is_list || !node.is_table()) {
            add(line, name, "must be written as " + heading(section));
        } else {
            read_options(section, name, node);
        }
    }

    void read_options(const Section& section, const std::string& path, const toml::node& node) {
        const unsigned line = node.source().begin.line;
        lines_.emplace(path, line);
        const std::vector<Option> options = section.open(out_.config);
        const toml::table* const table = node.as_table();
        if (!table) return add(line, path, "must be written as " + heading(section));
        for (const auto& [key, value] : *table) {
            const std::string full = path + '.' + std::string(key.str());
            const unsigned key_line = key.source().begin.line;
            lines_[full] = key_line;
            const auto option = std::find_if(options.begin(), options.end(),
                                             [&, name = key.str()](const Option& o) { return o.key == name; });
            if (option == options.end()) {
                add(key_line, full, unknown_key(key.str(), options));
            } else if (const Verdict problem = assign(option->target, value, file_.parent_path())) {
                add(key_line, full, problem->text, problem->is_warning);
            }
        }
        if (section.name == "listen" && lines_.contains(path + ".require_tls") &&
            out_.config.listeners.back().tls != TlsMode::starttls) {
            add(lines_[path + ".require_tls"], path + ".require_tls", R"(goes with tls = "starttls" only)");
        }
    }

    static std::string home_of(std::string_view key) {
        Config scratch;
        for (const Section& section : sections()) {
            for (const Option& option : section.open(scratch)) {
                if (option.key == key) return heading(section);
            }
        }
        return {};
    }

    static std::string unknown_key(std::string_view key, const std::vector<Option>& options) {
        const std::string unknown = "unknown key " + in_quotes(key);
        if (const std::string home = home_of(key); !home.empty()) return unknown + " here; it belongs in " + home;
        const auto name_of = [](const Option& option) { return option.key; };
        return unknown + "; did you mean " + in_quotes(nearest(key, options, name_of)) + "?";
    }

    static std::string unknown_section(std::string_view key, const toml::node& node) {
        const std::string unknown = "unknown key " + in_quotes(key);
        const std::string home = node.is_table() || node.is_array() ? "" : home_of(key);
        if (!home.empty()) return unknown + " here; it belongs in " + home;
        const auto name_of = [](const Section& section) { return section.name; };
        return unknown + "; did you mean " + in_quotes(nearest(key, sections(), name_of)) + "?";
    }

    /// What the keys mean together. What is wrong by itself is not judged again for the default that stands there.
    void judge() {
        link_rest_apis(out_.config);
        const std::vector<ConfigProblem> own = out_.problems;
        for (const ConfigProblem& problem : check_config(out_.config)) {
            const bool known = std::any_of(own.begin(), own.end(), [&](const ConfigProblem& other) {
                return !other.is_warning && (other.key == problem.key || problem.key.starts_with(other.key + '.'));
            });
            if (!known) add(line_of(problem.key), problem.key, problem.text, problem.is_warning);
        }
    }

    /// The line of a key, or of what it is missing from.
    unsigned line_of(std::string key) const {
        for (;;) {
            if (const auto found = lines_.find(key); found != lines_.end()) return found->second;
            const std::size_t dot = key.rfind('.');
            if (dot == std::string::npos) return 0;
            key.resize(dot);
        }
    }

    void add(unsigned line, std::string key, std::string text, bool is_warning = false) {
        out_.problems.push_back({file_.string(), line, std::move(key), std::move(text), is_warning});
    }

    const std::filesystem::path& file_;
    std::map<std::string, unsigned> lines_;
    LoadedConfig out_;
};

}  // namespace

LoadedConfig load_config(const std::filesystem::path& file) { return Loader(file).load(); }

bool LoadedConfig::usable() const {
    return std::all_of(problems.begin(), problems.end(),
                       [](const ConfigProblem& problem) { return problem.is_warning; });
}

std::string ConfigProblem::to_string() const {
    std::string out = file;
    if (line != 0) out += ':' + std::to_string(line);
    for (const std::string& part : {key, std::string(is_warning ? "warning" : ""), text}) {
        if (part.empty()) continue;
        if (!out.empty()) out += ": ";
        out += part;
    }
    // A key or a value of the file may hold anything, but this stays one line.
    std::replace_if(out.begin(), out.end(), is_control, '?');
    return out;
}

}  // namespace popgate
