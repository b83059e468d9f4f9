#include "tests/example_backend/eml_backend.hpp"

#include "backends/files/local_file.hpp"
#include "backends/files/measure.hpp"
#include "backends/unique_id_format.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <tuple>
#include <utility>

namespace popgate {

namespace {

using local::Descriptor;
using local::on_pool;
using local::system_error;

constexpr std::size_t top_block = 8 * 1024;

Error is_gone(const std::string& name) { return {Errc::gone, "the message has been removed", name}; }

Result<Descriptor> open_spool(const local::UserPath& path) {
    const auto place = path.open_directory();
    if (!place) return place.error();
    auto spool = local::open_at(place->get(), ".", O_RDONLY | O_DIRECTORY);
    if (!spool) return system_error(errno, path.text());
    return spool;
}

Result<std::vector<std::string>> read_names(const local::UserPath& path) {
    auto spool = open_spool(path);
    if (!spool) return spool.error();
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(spool->get()), ::closedir);
    if (!directory) return system_error(errno, path.text());
    spool->release();
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(directory.get())) {
        const std::string name = entry->d_name;
        const bool is_file = entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN;  // some file systems do not tell
        if (is_file && name.ends_with(".eml") && !name.starts_with('.')) names.push_back(name);
    }
    if (errno != 0) return system_error(errno, path.text());
    return names;
}

/// False also for another message that has come under its name.
bool is_there(const Descriptor& spool, const MessageInfo& message) {
    struct stat status {};
    if (::fstatat(spool.get(), message.id.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return false;
    errno = ENOENT;
    return status.st_mtime == message.arrival;
}

Result<std::shared_ptr<Descriptor>> open_folder(const local::UserPath& path, const std::string& name) {
    const auto spool = open_spool(path);
    if (!spool) return spool.error();
    auto folder = local::open_at(spool->get(), name, O_PATH | O_DIRECTORY);
    if (!folder) return Error{Errc::permanent, "there is no folder to move messages to", name};
    return std::make_shared<Descriptor>(std::move(folder));
}

/// A message's file, which is read on the pool piece by piece.
struct Reading {
    Descriptor file;
    std::int64_t arrival = 0;
    std::uint64_t size = 0, done = 0;
    std::string piece;

    static Result<std::shared_ptr<Reading>> open(const local::UserPath& path, const std::string& name) {
        const auto spool = open_spool(path);
        if (!spool) return spool.error();
        auto file = local::open_at(spool->get(), name, O_RDONLY);
        struct stat status {};
        if (!file || ::fstat(file.get(), &status) != 0) {
            if (errno == ENOENT) return is_gone(name);
            return system_error(errno, name);
        }
        if (!S_ISREG(status.st_mode)) return is_gone(name);
        auto reading = std::make_shared<Reading>();
        reading->file = std::move(file);
        reading->arrival = status.st_mtime;
        reading->size = static_cast<std::uint64_t>(status.st_size);
        return reading;
    }

    Status next(std::size_t limit) {
        piece.resize(std::min<std::uint64_t>(limit, size - done));
        const auto got = local::read_at(file.get(), done, piece.data(), piece.size());
        if (got < 0) return system_error(errno, "reading a message");
        // Whoever cuts a file that is being read must not make a short message look whole.
        if (static_cast<std::size_t>(got) < piece.size())
            return Error{Errc::temporary, "the message cannot be read", "its file has become shorter"};
        done += piece.size();
        return {};
    }
};

Result<MessageInfo> measure(const local::UserPath& path, const std::string& name) {
    const auto reading = Reading::open(path, name);
    if (!reading) return reading.error();
    auto& file = **reading;
    local::OctetCounter counter;
    while (file.done < file.size) {
        if (auto status = file.next(local::block_size); !status) return status.error();
        counter.add(file.piece);
    }
    return MessageInfo{.id = name, .octets = counter.octets(), .arrival = file.arrival, .octets_are_exact = true};
}

struct FolderNames {
    std::string trash, archive;
};

class EmlMailbox final : public Mailbox {
public:
    EmlMailbox(Fiber& fiber, local::UserPath path, FolderNames folders, std::chrono::milliseconds limit)
        : fiber_(fiber), path_(std::move(path)), folders_(std::move(folders)), limit_(limit) {}

    Result<Listing> list(KnownMailbox) override {
        const auto names = on_pool(fiber_, limit_, [path = path_] { return read_names(path); });
        if (!names) return names.error();
        Listing listing;
        listing.ids_may_return = true;
        for (const auto& name : *names) {
            auto message = on_pool(fiber_, limit_, [path = path_, name] { return measure(path, name); });
            if (message)
                listing.messages.push_back(std::move(*message));
            else if (message.error().code != Errc::gone)
                return message.error();
        }
        std::ranges::sort(listing.messages, {}, [](const auto& each) { return std::tie(each.arrival, each.id); });
        return listing;
    }

    std::string unique_id(const MessageInfo& message) const override { return fit_unique_id(message.id); }

    Result<std::vector<bool>> unread(const std::vector<MessageInfo>& messages) override {
        return std::vector<bool>(messages.size(), true);
    }

    Status fetch(const MessageInfo& message, BodySink& sink) override {
        return stream(message, sink, local::block_size);
    }
    Status fetch_top(const MessageInfo& message, BodySink& sink) override { return stream(message, sink, top_block); }

    RemovalReport remove(const std::vector<MessageInfo>& messages) override {
        return for_each(messages, [](const Descriptor& spool, const MessageInfo& message) {
            return ::unlinkat(spool.get(), message.id.c_str(), 0);
        });
    }

    RemovalReport move(const std::vector<MessageInfo>& messages, SpecialFolder target) override {
        const auto& name = target == SpecialFolder::trash ? folders_.trash : folders_.archive;
        const auto folder = on_pool(fiber_, limit_, [path = path_, name] { return open_folder(path, name); });
        if (!folder) return {std::vector(messages.size(), Removal::failed), folder.error()};
        return for_each(messages, [to = *folder](const Descriptor& spool, const MessageInfo& message) {
            const auto new_name = std::to_string(message.arrival) + "." + message.id;
            return ::renameat2(spool.get(), message.id.c_str(), to->get(), new_name.c_str(), RENAME_NOREPLACE);
        });
    }

    Status mark_seen(const std::vector<MessageInfo>&) override { return {}; }
    Status keep_alive() override { return {}; }
    void close() override {}

private:
    Status stream(const MessageInfo& message, BodySink& sink, std::size_t limit) {
        const auto opened =
            on_pool(fiber_, limit_, [path = path_, id = message.id] { return Reading::open(path, id); });
        if (!opened) return opened.error();
        const auto& reading = *opened;
        if (reading->arrival != message.arrival) return is_gone(message.id);
        while (reading->done < reading->size) {
            auto status = on_pool(fiber_, limit_, [reading, limit] { return reading->next(limit); });
            if (!status) return status;
            if (!sink.write(reading->piece)) return Error{Errc::sink_closed, {}, {}};
        }
        return {};
    }

    /// Calls `act` on the pool for each message that is still there; it answers as system calls do.
    template <class Act>
    RemovalReport for_each(const std::vector<MessageInfo>& messages, Act act) {
        RemovalReport report;
        for (const auto& message : messages) {
            const auto done = on_pool(fiber_, limit_, [path = path_, message, act]() -> Result<int> {
                const auto spool = open_spool(path);
                if (!spool) return spool.error();
                if (!is_there(*spool, message)) return errno;
                return act(*spool, message) == 0 ? 0 : errno;
            });
            report.outcomes.push_back(!done             ? Removal::unknown
                                      : *done == 0      ? Removal::removed
                                      : *done == ENOENT ? Removal::gone
                                                        : Removal::failed);
            if (report.outcomes.back() == Removal::unknown) report.status = done.error();
            if (report.outcomes.back() == Removal::failed) report.status = system_error(*done, message.id);
        }
        return report;
    }

    Fiber& fiber_;
    local::UserPath path_;
    FolderNames folders_;
    std::chrono::milliseconds limit_;  // for one call of the blocking pool
};

class EmlBackend final : public Backend {
public:
    EmlBackend(std::string pattern, FolderNames folders, std::chrono::milliseconds limit)
        : pattern_(std::move(pattern)), folders_(std::move(folders)), limit_(limit) {}

    Result<std::unique_ptr<Mailbox>> open(Fiber& fiber, const UpstreamLogin& login) const override {
        auto path = local::UserPath::expand(pattern_, login.user);
        if (!path) return path.error();
        return std::unique_ptr<Mailbox>(std::make_unique<EmlMailbox>(fiber, std::move(*path), folders_, limit_));
    }

    std::string mailbox_key(const std::string& user) const override {
        const auto path = local::UserPath::expand(pattern_, user);
        return "eml:" + (path ? path->canonical() : "?" + user);
    }

    bool checks_password() const override { return false; }

private:
    std::string pattern_;
    FolderNames folders_;
    std::chrono::milliseconds limit_;
};

}  // namespace

Result<std::unique_ptr<Backend>> make_eml_backend(const BackendOptions& options) {
    auto pattern = local::path_pattern(options.url, "eml");
    if (!pattern) return pattern.error();
    FolderNames folders{options.trash_folder.empty() ? "trash" : options.trash_folder,
                        options.archive_folder.empty() ? "archive" : options.archive_folder};
    for (const auto& name : {folders.trash, folders.archive})
        if (name.starts_with('.') || name.find_first_of(std::string_view("/\0", 2)) != std::string::npos)
            return Error{Errc::permanent, "\"" + name + "\" is no name of a folder in the spool", {}};
    if (options.unique_ids != "native")
        return Error{Errc::permanent, "a spool folder has no unique-ids but its own", {}};
    return std::unique_ptr<Backend>(
        std::make_unique<EmlBackend>(std::move(*pattern), std::move(folders), options.command_timeout));
}

}  // namespace popgate
