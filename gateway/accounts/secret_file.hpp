#pragma once

#include "backends/errors.hpp"
#include "gateway/accounts/secret.hpp"

#include <string>

namespace popgate {

/// Where "credential:NAME" lies, which is $CREDENTIALS_DIRECTORY/NAME (systemd's LoadCredential=); another text is a
/// path as it is. Empty where NAME is none or the variable is not set.
std::string secret_path(const std::string& file);

/// The whole file without its last line end, at most 64 KiB. Blocks. Errc::permanent: it cannot be read, is empty, or
/// is longer; the text names the file and the cause.
Result<Secret> read_secret_file(const std::string& file);

}  // namespace popgate
