#pragma once

#include <string>

namespace popgate {

/// What is counted since the start of the process.
enum class Counter {
    logins_admitted,
    logins_refused,
    logins_failed,
    refreshes_done,
    refreshes_put_off,
    refreshes_refused,
    refreshes_misconfigured,
    sign_ins_needed,
};

/// One more. From any thread.
void count(Counter counter);

/// All of it in Prometheus' text format (version 0.0.4).
std::string metrics_text();

}  // namespace popgate
