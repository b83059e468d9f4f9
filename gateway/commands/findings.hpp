#pragma once

#include "gateway/commands/output.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace popgate::commands {

enum class Verdict { ok, warning, failure };

/// One thing that was looked at. What a peer wrote may be in the texts: whoever prints them escapes them.
struct Finding {
    std::string check;    ///< which kind: "listener", "dns", …
    std::string subject;  ///< of what: an address, a file, a key
    Verdict verdict = Verdict::ok;
    std::string text;      ///< what was found
    std::string advice{};  ///< what to do; empty where nothing is wrong
};

/// Findings as they are told: a line each with advice below it, or a JSON document each.
class Findings {
public:
    explicit Findings(Console& console) : console_(console) {}

    void add(const Finding& finding);
    void add(const std::vector<Finding>& findings) {
        for (const auto& each : findings) add(each);
    }
    /// The last line says how many there were of each. Gives exit_failed where there was a failure.
    int finish() const;

private:
    Console& console_;
    std::size_t ok_ = 0;
    std::size_t warnings_ = 0;
    std::size_t failures_ = 0;
};

}  // namespace popgate::commands
