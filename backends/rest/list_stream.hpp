#pragma once

#include "backends/errors.hpp"
#include "backends/mailbox.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace popgate::rest {

/// Reads a list out of a JSON answer as it comes: of each element of one array the scalars at some places, and some of
/// the whole answer. What lies elsewhere is passed over, however long it is.
class ListStream final : public BodySink {
public:
    /// JSON pointers (RFC 6901) that split_pointer() takes; an empty one in `in_element` or `in_answer` finds nothing.
    ListStream(std::string_view array, const std::vector<std::string>& in_element,
               const std::vector<std::string>& in_answer);
    ~ListStream() override;

    bool write(std::string_view octets) noexcept override;

    /// After the last octet. Errc::temporary for what is no JSON, is deeper than 32 levels, has no such array or a
    /// value longer than 4096 octets at one of the places, or more than a million elements.
    Status finish();

    /// Texts as they were written, numbers too; "true" and "false"; empty where there is none, or null.
    std::vector<std::vector<std::string>> elements;  ///< each in the order of `in_element`
    std::vector<std::string> values;                 ///< in the order of `in_answer`

private:
    struct Parser;
    std::unique_ptr<Parser> parser_;
};

}  // namespace popgate::rest
