#pragma once

#include "backends/errors.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Several requests in one: POST /batch/gmail/v1 with multipart/mixed (RFC 2046 §5.1) of application/http. Pure.
namespace popgate::gmail {

constexpr std::string_view batch_content_type = "multipart/mixed; boundary=popgate_batch";

/// A body of `batch_content_type` that asks for each of these targets (path and query, visible ASCII) with GET.
std::string make_batch(const std::vector<std::string>& targets);

struct BatchAnswer {
    int status = 0;
    std::string body;
};

/// The answers in the order of the questions; nothing where one is missing, which can be asked again.
/// Errc::temporary for what is no multipart/mixed answer or is not complete.
Result<std::vector<std::optional<BatchAnswer>>> parse_batch(std::string_view content_type, std::string_view body,
                                                            std::size_t asked);

}  // namespace popgate::gmail
