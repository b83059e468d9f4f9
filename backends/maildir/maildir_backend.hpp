#pragma once

#include "backends/registry.hpp"

#include <memory>

namespace popgate {

/// `maildir:/path/%u`: mail as one file a message, in the `new` and `cur` of the directory that the URL names.
///
/// A message's id is its file's base name, the part before ':'. Flags and the move from `new` to `cur` change the
/// rest of the name alone, so other programs may work in the same Maildir. Opening measures every message once; the
/// sizes are remembered in the process. Symbolic links are followed in the part of the path that only the
/// administrator can change, up to the component that names the user, and nowhere below.
///
/// Messages are moved to folders of Maildir++ (`.Trash`, `.Archive`, or as the options name them) beside `new` and
/// `cur`, by a rename, or where the folder is on another file system, by a copy that is on the disk before the original
/// goes. A folder that is missing is made. Names that are no folder's are refused.
///
/// A Maildir that is not there is an error, an empty one is not. mailbox_key() looks at the file system, so it blocks.
Result<std::unique_ptr<Backend>> make_maildir_backend(const BackendOptions& options);

}  // namespace popgate
