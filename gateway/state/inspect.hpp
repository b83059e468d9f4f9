#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace popgate {

/// How one file of the state store is. Nothing in it was changed.
struct StateFileReport {
    std::string path;
    std::string damage;     ///< what SQLite's quick_check says, or why it is no file of ours; empty: nothing
    std::string unusable;   ///< why it cannot be opened or written now; empty: it can
    bool is_older = false;  ///< of an earlier version, which the next start brings up to date
};

/// The store's main file; empty for one in memory, or where the URL is bad.
std::string state_path(std::string_view url);

/// Opens each of the store's files that is there, reads all of it, and begins a write that is rolled back. A file that
/// is missing is not made. Blocks for as long as reading takes; servers and commands may work on the store meanwhile.
std::vector<StateFileReport> inspect_state(const std::string& path);

}  // namespace popgate
