#include "gateway/observe/metrics.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace popgate {

namespace {

struct Series {
    std::string_view name;
    std::string_view labels;
    std::string_view help;
};

// In the order of Counter; those of one name follow one another.
constexpr std::array series = {
    Series{"popgate_logins_total", R"({outcome="admitted"})", "Logins by what came of them."},
    Series{"popgate_logins_total", R"({outcome="refused"})", {}},
    Series{"popgate_logins_total", R"({outcome="failed"})", {}},
    Series{"popgate_token_refreshes_total", R"({outcome="done"})", "Refreshes of OAuth2 tokens by what came of them."},
    Series{"popgate_token_refreshes_total", R"({outcome="put_off"})", {}},
    Series{"popgate_token_refreshes_total", R"({outcome="refused"})", {}},
    Series{"popgate_token_refreshes_total", R"({outcome="misconfigured"})", {}},
    Series{"popgate_sign_ins_needed_total", "", "Accounts for which a person must sign in again."},
};
static_assert(series.size() == static_cast<std::size_t>(Counter::sign_ins_needed) + 1);

std::array<std::atomic<std::uint64_t>, series.size()> values{};

}  // namespace

void count(Counter counter) { values[static_cast<std::size_t>(counter)].fetch_add(1, std::memory_order_relaxed); }

std::string metrics_text() {
    std::string text;
    for (std::size_t i = 0; i < series.size(); ++i) {
        const auto& [name, labels, help] = series[i];
        if (!help.empty()) {
            text.append("# HELP ").append(name).append(" ").append(help).append("\n");
            text.append("# TYPE ").append(name).append(" counter\n");
        }
        text.append(name).append(labels).append(" ");
        text.append(std::to_string(values[i].load(std::memory_order_relaxed))).append("\n");
    }
    return text;
}

}  // namespace popgate
