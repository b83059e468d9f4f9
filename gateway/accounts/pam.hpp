#pragma once

#include "backends/errors.hpp"
#include "gateway/accounts/secret.hpp"

#include <string>

namespace popgate {

class Fiber;

/// Asks PAM's `service` whether this is the user's password and whether the account may be used now. Runs on the pool
/// for passwords. Errc::auth: refused. Errc::temporary: PAM, or what is behind it, does not answer. A service that has
/// no file is what /etc/pam.d/other says. No module of it is made to wait after a refusal: whoever calls this sees to
/// that.
Status check_pam(Fiber& fiber, const std::string& service, const std::string& user, const Secret& password,
                 const std::string& client_address);

}  // namespace popgate
