#pragma once

#include "backends/errors.hpp"

#include <functional>
#include <memory>
#include <string_view>

namespace popgate::http {

/// Inflates a gzip or deflate body as it comes (RFC 9110 §8.4.1). Does not suspend by itself.
class Inflater {
public:
    Inflater();
    ~Inflater();
    Inflater(const Inflater&) = delete;
    Inflater& operator=(const Inflater&) = delete;

    enum class Outcome { good, stopped, damaged };
    /// Hands on what `octets` inflate to, in pieces of at most 16 KiB; `stopped`: `take` wanted no more.
    Outcome feed(std::string_view octets, const std::function<bool(std::string_view)>& take);

    /// True when the compressed stream has come to its own end, checksum and all.
    bool is_whole() const { return is_whole_; }

private:
    struct State;
    std::unique_ptr<State> state_;
    bool is_whole_ = false;
};

}  // namespace popgate::http
