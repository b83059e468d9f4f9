#pragma once

#include "backends/registry.hpp"

#include <memory>

namespace popgate {

/// `mbox:/path/%u`: all messages of an account in one text file, to which a delivery agent appends.
///
/// A message begins with a line "From …" at the start of the file or after an empty line; that line and the one empty
/// line before the next are not part of it. All other bytes are served as they are: a body line ">From …" stays
/// quoted, as nothing in the file tells whether it is mboxo, where unquoting would change what somebody wrote, or
/// mboxrd. For the same reason Content-Length is not believed.
///
/// The file is locked (fcntl, and `FILE.lock` where the directory lets us) while it is scanned and while it is
/// rewritten, but not for the whole session: a client that is slow, or stays connected, must not hold up delivery. A
/// message is found again by its content when other programs have moved it. Removal rewrites the file in place, as
/// delivery agents may hold it open, and keeps a journal beside it, so that a crash at any moment loses no mail; it
/// needs a writable directory and as much free space as the mail behind the first removed message.
///
/// Messages are moved to other mbox files, `trash_folder` and `archive_folder`: patterns as in the URL, relative ones
/// in the mbox's own directory; without one there is no such folder. One that is missing is made, for the mbox's owner
/// alone. Messages are appended there, made durable, and only then cut out here: after a crash between the two they are
/// in both, the last perhaps in part, and never in none. Both files are locked; who holds one lock does not wait for
/// the other.
///
/// Reading marks nothing: mark_seen() answers success and leaves the file alone. A missing file is an empty mailbox,
/// its missing directory is an error. mailbox_key() looks at the file system, so it blocks.
Result<std::unique_ptr<Backend>> make_mbox_backend(const BackendOptions& options);

}  // namespace popgate
