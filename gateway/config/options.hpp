#pragma once

#include "gateway/config/config.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace popgate {

/// A file's name, relative to the folder of the configuration file.
struct FileTarget {
    std::string* path;
};

/// The same, or "credential:NAME", which stays as it is.
struct KeyFileTarget {
    std::string* path;
};

struct NumberTarget {
    std::uint32_t* value;
    std::uint32_t least;
    std::uint32_t most;
};

/// A duration that may be 0, which switches something off.
struct SwitchedDurationTarget {
    std::chrono::milliseconds* value;
    std::chrono::milliseconds most;
};

/// One of a few words.
struct ChoiceTarget {
    std::vector<std::string_view> names;
    std::size_t standard;  ///< index of the default; as many as there are names where there is none
    std::function<void(std::size_t)> choose;
};

/// How long after it was retrieved a message goes; "never" is stored as `never`.
struct ExpiryTarget {
    std::optional<std::chrono::milliseconds>* value;
    std::optional<std::chrono::milliseconds> never;
};

using Target = std::variant<std::string*, FileTarget, KeyFileTarget, bool*, std::optional<bool>*, NumberTarget,
                            std::chrono::milliseconds*, SwitchedDurationTarget, ExpiryTarget, View*,
                            std::optional<View>*, ChoiceTarget>;

/// One key: where its value goes, and a sentence about it. The default is what stands there already.
struct Option {
    std::string_view key;
    Target target;
    std::string_view text;
    std::string_view example = {};  ///< for the reference, where no value is the default
    bool is_secret = false;         ///< its value is, or may hold, a password
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

/// What a manual says of a key beside its sentence. Values are as the file has them, texts in quotes.
struct OptionTexts {
    std::string values;    ///< which it takes, as "1 to 100" or a list of words; empty where that is evident
    std::string standard;  ///< the default; empty where there is none
    std::string example;   ///< empty where the default says enough
};
OptionTexts texts_of(const Option& option);

/// A file in which every key stands with its default and its sentence.
std::string config_reference();

}  // namespace popgate
