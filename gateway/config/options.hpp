#pragma once

#include "gateway/config/config.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace popgate {

/// A file's name, relative to the folder of the configuration file.
struct FileTarget {
    std::string* path;
};

struct NumberTarget {
    std::uint32_t* value;
    std::uint32_t least;
    std::uint32_t most;
};

/// One of a few words.
struct ChoiceTarget {
    std::vector<std::string_view> names;
    std::size_t standard;  ///< index of the default
    std::function<void(std::size_t)> choose;
};

/// A key of the contract with outside scripts whose `later` values this version does not have. The others are what it
/// does anyway, so there is nothing to store. To accept a later one in silence could cost somebody mail.
struct ForeseenTarget {
    std::vector<std::string_view> now;
    std::vector<std::string_view> later;
    bool is_boolean;
};

/// A text that belongs to the same contract, but has no effect in this version.
struct IgnoredTarget {};

using Target = std::variant<std::string*, FileTarget, bool*, NumberTarget, std::chrono::milliseconds*, ChoiceTarget,
                            ForeseenTarget, IgnoredTarget>;

/// One key: where its value goes, and a sentence about it. The default is what stands there already.
struct Option {
    std::string_view key;
    Target target;
    std::string_view text;
    std::string_view example = {};  ///< for the reference, where no value is the default
};

/// One [name], or one [[name]] of a list.
struct Section {
    std::string_view name;
    bool is_list;
    std::string_view text;
    std::function<std::vector<Option>(Config&)> open;  ///< appends an element where it is a list
};

/// Everything that a configuration file may say, in the order of the reference.
const std::vector<Section>& sections();

constexpr std::chrono::hours longest_duration{24 * 366};

/// "60s", "10m", "12h", "500ms".
std::string duration_text(std::chrono::milliseconds duration);

/// The inverse of it; negative when `text` is none.
std::chrono::milliseconds parse_duration(std::string_view text);

/// A file in which every key stands with its default and its sentence.
std::string config_reference();

}  // namespace popgate
