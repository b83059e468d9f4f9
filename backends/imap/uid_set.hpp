#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace popgate::imap {

/// UIDs as IMAP sequence sets ("1:3,7"), in as many strings as are needed to keep each below `longest` octets: servers
/// bound the length of a command line (RFC 7162 asks for 8,192).
std::vector<std::string> make_uid_sets(std::vector<std::uint32_t> uids, std::size_t longest = 4000);

}  // namespace popgate::imap
