#pragma once

#include <string>
#include <vector>

namespace popgate {

/// Starts a program with these arguments, and does not wait for it: a thread of its own sees it end, and kills it after
/// a minute. It gets no environment but PATH, and nothing of ours to read or write. What fails is logged.
void run_command(const std::string& program, const std::vector<std::string>& arguments);

}  // namespace popgate
