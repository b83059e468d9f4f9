#pragma once

#include "backends/files/local_file.hpp"

#include <string>
#include <string_view>

/// The folders of a Maildir. All that touches them blocks: for the blocking pool only.
namespace popgate::maildir {

/// The directory beside `cur` in which Maildir++ keeps a folder: "A/B" is ".A.B", in modified UTF-7. Levels are set
/// apart by '/' or '.'. The error's text says what is wrong with the name.
Result<std::string> folder_directory(std::string_view utf8);

/// A folder that messages are moved to.
struct Target {
    local::Descriptor cur;
    local::Descriptor tmp;
};

/// Opens the folder `directory` of a Maildir. What is missing of it is made, with the Maildir's owner and mode. As
/// everywhere below the user's place, no symbolic link is followed.
Result<Target> open_target(const local::UserPath& maildir, const std::string& directory);

/// Moves a message's file to the target's `cur`; its flags go along, and nothing there is overwritten. Where it was
/// there already, left by a move that was interrupted, it only goes from here. 0 or an errno; ENOENT: there is no such
/// file. What failed left the message where it was, and nothing in the target.
int move_file(int directory, const std::string& name, const Target& target);

}  // namespace popgate::maildir
