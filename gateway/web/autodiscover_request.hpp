#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace popgate::web {

/// What Outlook sends to find its settings (MS-OXDSCLI §2.2.3).
struct AutodiscoverRequest {
    std::string address;          ///< EMailAddress
    std::string response_schema;  ///< AcceptableResponseSchema
};

/// A strict scan of a small part of XML 1.0: elements, text, references to characters, comments, one declaration.
/// Nothing for what is more than that, above all a document type (whose entities could grow, or read files), for
/// elements that do not close, and where either of the two is missing, empty, or there twice.
std::optional<AutodiscoverRequest> parse_autodiscover_request(std::string_view xml);

}  // namespace popgate::web
