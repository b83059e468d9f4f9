#include "gateway/state/rebuild.hpp"

#include "gateway/state/file_steps.hpp"

#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace popgate {

using sqlite::Database;
using sqlite::Failure;

namespace {

[[noreturn]] void fail(const std::string& what) {
    const int error = errno;
    throw Failure(error == EROFS || error == EACCES ? Failure::Kind::read_only : Failure::Kind::other,
                  what + ": " + std::generic_category().message(error));
}

/// A second name for the damaged file and for its log, which belongs to it by name.
std::string name_corrupt(const std::string& path) {
    const auto base = path + ".corrupt-" + time_stamp();
    auto name = base;
    for (int n = 2; ::link(path.c_str(), name.c_str()) != 0; ++n) {
        if (errno != EEXIST) fail("naming " + name);
        name = base + "-" + std::to_string(n);
    }
    ::unlink((name + "-wal").c_str());
    if (::link((path + "-wal").c_str(), (name + "-wal").c_str()) != 0 && errno != ENOENT) {
        ::unlink(name.c_str());
        fail("naming " + name + "-wal");
    }
    return name;
}

Salvaged salvage(const std::string& damaged, const std::string& draft, const sqlite::Schema& schema) {
    remove_database(draft);
    if (!make_private_file(draft)) fail("making " + draft);
    Database to(draft, Database::Open::existing);
    sqlite::adopt(to, schema);
    sqlite::Transaction transaction(to, sqlite::Transaction::Kind::write);
    Salvaged salvaged;
    try {
        Database from(damaged, Database::Open::existing);
        sqlite3_db_config(from.handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
        sqlite3_db_config(from.handle(), SQLITE_DBCONFIG_DEFENSIVE, 0, nullptr);
        // Lets SQLite read a file that is shorter than its header says.
        from.execute("PRAGMA writable_schema = ON");
        salvaged = salvage_mailboxes(from, to);
    } catch (const Failure& failure) {
        // So broken that nothing can be read: the new file begins empty.
        if (failure.kind != Failure::Kind::corrupt && failure.kind != Failure::Kind::foreign) throw;
    }
    transaction.commit();
    return salvaged;
}

}  // namespace

std::optional<Rebuilt> rebuild(const StateFile& file, std::uint64_t inode) {
    const auto& path = file.path();
    StateFileLock lock(path);
    if (!lock.exists()) throw Failure(Failure::Kind::read_only, "nothing can be made beside it");
    lock.lock(StateFileLock::Kind::exclusive);
    if (file_exists(replacement_of(path))) finish_replacement(path);
    if (inode_of(path) != inode) return std::nullopt;

    Rebuilt rebuilt;
    rebuilt.moved_to = name_corrupt(path);
    const auto draft = path + ".new";
    try {
        rebuilt.salvaged = salvage(rebuilt.moved_to, draft, file.schema());
        if (::rename(draft.c_str(), replacement_of(path).c_str()) != 0) fail("renaming " + draft);
    } catch (const Failure&) {
        remove_database(draft);
        remove_database(rebuilt.moved_to);
        throw;
    }
    ::unlink((rebuilt.moved_to + "-shm").c_str());
    finish_replacement(path);
    return rebuilt;
}

}  // namespace popgate
