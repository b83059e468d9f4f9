#pragma once

#include <string_view>
#include <vector>

namespace popgate {

/// The one of `known`, which is not empty, that whoever wrote `word` most likely meant.
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& known);

}  // namespace popgate
