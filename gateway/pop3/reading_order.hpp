#pragma once

#include "gateway/pop3/maildrop.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace popgate::pop3 {

/// Foresees which messages a client will retrieve next, from the order in which it has gone so far: up or down by one
/// number, but for those that are marked. Pure.
class ReadingOrder {
public:
    /// The client retrieves `number` now: what it will probably ask for then, in that order. Nothing before it has gone
    /// on in order; then 16 messages, and four times as many each time, up to `longest_reach`.
    std::vector<const MessageInfo*> on_retrieval(const Maildrop& maildrop, std::uint64_t number);

    /// The client does something else: the next retrieval is a first one.
    void forget() { *this = {}; }

    static constexpr std::size_t longest_reach = 64;

private:
    std::uint64_t last_ = 0;
    std::int8_t step_ = 0;  // 0 before a second retrieval
    std::size_t reach_ = 0;
};

}  // namespace popgate::pop3
