#pragma once

#include "backends/imap/response_guard.hpp"

#include <string>
#include <string_view>

namespace popgate::test {

/// All of these octets, as one command's answer: `out` gets what the parser sees, bodies too.
inline bool feed(imap::ResponseGuard& guard, std::string_view octets, std::string& out) {
    for (;;) {
        if (!guard.feed(octets, out)) return false;
        if (octets.empty()) return true;
        const auto body = octets.substr(0, guard.body_left());
        out += body;
        guard.passed(body.size());
        octets.remove_prefix(body.size());
    }
}

}  // namespace popgate::test
