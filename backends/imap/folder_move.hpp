#pragma once

#include "backends/imap/etpan_session.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace popgate::imap {

/// Moves messages of the selected mailbox into another one, over as many connections as it takes: UID MOVE (RFC 6851),
/// else UID COPY and then an expunge of what was copied. A batch that was copied is not copied again; when a connection
/// is lost before COPY was answered, it is, since a message twice in a folder is better than one in none.
class FolderMove {
public:
    /// `folder`: modified UTF-7. When the server says that there is none such, it is created, once.
    FolderMove(std::string folder, std::vector<std::uint32_t> uids);

    /// Goes on where the last call ended. After an error, what was not yet moved is where it was.
    Status run(EtpanSession& session);

    /// The messages from which other clients' \Deleted was taken, see expunge().
    const std::vector<std::uint32_t>& unmarked() const { return unmarked_; }

private:
    Status into_folder(EtpanSession& session, const std::string& verb, std::vector<std::uint32_t>& batch);

    std::string folder_;
    std::vector<std::vector<std::uint32_t>> batches_;
    std::size_t done_ = 0;  // of the batches
    bool copied_ = false;   // the one after them
    bool folder_created_ = false;
    std::vector<std::uint32_t> unmarked_;
};

}  // namespace popgate::imap
