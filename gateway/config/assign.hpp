#pragma once

#include "gateway/config/options.hpp"

#include <toml++/toml.h>
#include <filesystem>
#include <optional>
#include <string>

namespace popgate {

/// What is to be said about one value.
struct Finding {
    std::string text;
    bool is_warning = false;
};
using Verdict = std::optional<Finding>;

/// Writes a value of a file that lies in `folder` to its place in the configuration.
Verdict assign(const Target& target, const toml::node& node, const std::filesystem::path& folder);

inline bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

}  // namespace popgate
