#pragma once

#include "backends/registry.hpp"

#include <memory>

namespace popgate {

/// `eml:/path/%u`: a spool folder with one message a file, `*.eml`, that delivery renames into place and nobody writes
/// to afterwards. The example of docs/backends.md, and no part of the program.
///
/// A message's id is its file's name, its arrival the file's mtime. A later file of the same name is another message.
/// Messages are moved to `trash/` and `archive/` in the folder, or to what the options name; a folder that is missing
/// there is Errc::permanent. A spool that is not there is an error, an empty one is not. mailbox_key() blocks.
Result<std::unique_ptr<Backend>> make_eml_backend(const BackendOptions& options);

}  // namespace popgate
