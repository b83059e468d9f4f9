#pragma once

#include "backends/errors.hpp"

#include <string>
#include <string_view>

namespace popgate {

class Fiber;
class Secret;

/// Checks a password against a file of "user:hash" lines (crypt(3): yescrypt, bcrypt, SHA-512 …; further fields
/// after a second ':' are ignored, '#' begins a comment). The file is read at every login, so an edit holds at once.
/// Runs on the blocking pool. An unknown user costs the same time and gives the same answer as a wrong password.
/// Errc::auth: refused. Errc::temporary: the file cannot be read, or the pool was too busy.
Status check_password_file(Fiber& fiber, const std::string& file, const std::string& user, const Secret& password);

/// The file's hash for `user` tried against `password`; pure but for crypt(3), which blocks for a while.
bool password_matches(std::string_view file_text, std::string_view user, const std::string& password);

/// A new hash of the strongest kind that this system's crypt(3) makes.
std::string hash_password(const std::string& password);

}  // namespace popgate
