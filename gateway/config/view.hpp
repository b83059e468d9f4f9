#pragma once

#include "gateway/config/config.hpp"

#include <string>
#include <string_view>

namespace popgate {

constexpr std::string_view view_forms = R"("all", "unread", "last 30 days" or "last 100 messages")";

/// One of those forms, with a count from 1 to 1000000. The error's text says what is wrong.
Result<View> parse_view(std::string_view text);

/// The inverse of it.
std::string view_text(const View& view);

}  // namespace popgate
