#pragma once

#include "backends/errors.hpp"
#include "gateway/accounts/account_store.hpp"

#include <string_view>

namespace popgate {

/// Records as they are before they are sealed, and back; what is read was sealed by a popgate, but perhaps a newer one.
Secret pack_account(const Account& account);
Secret pack_tokens(const AccountTokens& tokens);

/// Errc::permanent for anything that the other function does not write.
Result<Account> unpack_account(std::string_view packed);
Result<AccountTokens> unpack_tokens(std::string_view packed);

}  // namespace popgate
