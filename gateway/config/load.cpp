#include "gateway/config/assign.hpp"
#include "gateway/config/config.hpp"
#include "gateway/config/lay_over.hpp"
#include "gateway/config/names.hpp"
#include "gateway/config/nearest.hpp"
#include "gateway/config/options.hpp"
#include "gateway/config/rest_apis.hpp"

#include <toml++/toml.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>

namespace popgate {

namespace {

template <class List, class NameOf>
std::vector<std::string_view> names_of(const List& list, NameOf name_of) {
    std::vector<std::string_view> out;
    for (const auto& each : list) out.push_back(name_of(each));
    return out;
}

/// In a container passwords and mail should not leave it in clear; without a certificate there is no choice.
void add_default_listeners(toml::table& root) {
    const bool has_certificate = root["tls"]["certificate"].is_string();
    toml::array listeners;
    listeners.push_back(toml::table{{"address", "0.0.0.0:1110"}, {"tls", has_certificate ? "starttls" : "none"}});
    if (has_certificate) listeners.push_back(toml::table{{"address", "0.0.0.0:1995"}, {"tls", "implicit"}});
    root.insert("listen", std::move(listeners));
}

std::string heading(const Section& section) {
    const std::string name(section.name);
    return section.is_list ? "[[" + name + "]]" : "[" + name + "]";
}

class Loader {
public:
    Loader(const std::filesystem::path& file, const Environment& environment)
        : file_(file), environment_(environment) {}

    LoadedConfig load() {
        if (const std::optional<std::string> text = file_.empty() ? "" : read_file()) {
            try {
                toml::table root = toml::parse(*text);
                laid_over_ = lay_over(root, environment_);
                out_.problems = laid_over_.problems;
                if (file_.empty() && !root.contains("listen")) add_default_listeners(root);
                read(root);
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
        const auto keys = names_of(options, [](const Option& option) { return option.key; });
        return unknown + "; did you mean " + in_quotes(nearest(key, keys)) + "?";
    }

    static std::string unknown_section(std::string_view key, const toml::node& node) {
        const std::string unknown = "unknown key " + in_quotes(key);
        const std::string home = node.is_table() || node.is_array() ? "" : home_of(key);
        if (!home.empty()) return unknown + " here; it belongs in " + home;
        const auto names = names_of(sections(), [](const Section& section) { return section.name; });
        return unknown + "; did you mean " + in_quotes(nearest(key, names)) + "?";
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

    /// The file, or the variable that has set the key, or that would where the file says nothing about it.
    std::string origin_of(const std::string& key, unsigned line) const {
        if (const auto found = laid_over_.variables.find(key); found != laid_over_.variables.end())
            return found->second;
        if (line != 0) return file_.string();
        if (file_.empty()) return key.find('.') == std::string::npos ? "environment" : variable_name(key);
        const bool is_made = std::ranges::any_of(
            laid_over_.made, [&](const std::string& section) { return key.starts_with(section + '.'); });
        return is_made ? variable_name(key) : file_.string();
    }

    void add(unsigned line, std::string key, std::string text, bool is_warning = false) {
        std::string origin = origin_of(key, line);
        if (origin != file_.string()) line = 0;
        out_.problems.push_back({std::move(origin), line, std::move(key), std::move(text), is_warning});
    }

    const std::filesystem::path& file_;
    const Environment& environment_;
    FromEnvironment laid_over_;
    std::map<std::string, unsigned> lines_;
    LoadedConfig out_;
};

}  // namespace

LoadedConfig load_config(const std::filesystem::path& file) { return load_config(file, process_environment()); }

LoadedConfig load_config(const std::filesystem::path& file, const Environment& environment) {
    return Loader(file, environment).load();
}

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
