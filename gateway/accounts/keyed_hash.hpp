#pragma once

#include "gateway/accounts/secret.hpp"

#include <string>

namespace popgate {

/// 32 octets by which a user's secret is known again: nobody can tell the secret from them, nor compare them with
/// another process's. Any thread.
std::string keyed_hash(const std::string& user, const Secret& secret);

}  // namespace popgate
