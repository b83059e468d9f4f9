#pragma once

#include <cstdint>
#include <string>

namespace popgate {

/// Steps with files by name. No file that SQLite may have open is ever opened here: POSIX locks of the whole process
/// would go when it is closed.

/// Which file has this name; 0 when none.
std::uint64_t inode_of(const std::string& path);
bool file_exists(const std::string& path);
bool is_file_below(const std::string& path, std::uint64_t octets);

/// True where nothing can be made in the directory of `path`.
bool directory_is_read_only(const std::string& path);

/// Makes the directory of `path` and those above it (0750) where they are missing; as far as it goes.
void make_directory_of(const std::string& path);

/// Makes an empty file (0600, and the directory's owner if we are root), and gives the files that SQLite makes beside
/// it mode and owner with it. False and errno when that fails or it is there.
bool make_private_file(const std::string& path);

/// Takes from others what they may read of a file of ours.
void make_private(const std::string& path);

/// Removes a database and what lies beside it.
void remove_database(const std::string& path);

/// Names that were made or changed in the directory of `path` are so after a crash too.
void sync_directory_of(const std::string& path);

/// A replacement of `path` that is complete waits under this name.
std::string replacement_of(const std::string& path);
/// Puts it in the place of the file at `path`, whose log goes first: it would be taken for the new file's.
void finish_replacement(const std::string& path);

/// Now, as in "20261125T090502Z".
std::string time_stamp();

}  // namespace popgate
