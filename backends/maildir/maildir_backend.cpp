#include "backends/maildir/maildir_backend.hpp"

#include "backends/maildir/maildir_files.hpp"
#include "backends/maildir/maildir_folder.hpp"
#include "backends/maildir/server_ids.hpp"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

namespace popgate {

namespace {

using local::on_pool;
using local::system_error;
using maildir::Place;
using maildir::Places;

constexpr std::size_t top_block = 8 * 1024;
constexpr std::size_t batch = 500;      // removals and marks in one call of the blocking pool
constexpr std::size_t move_batch = 50;  // each may have to be copied

/// The directories of the folders to which messages are moved.
struct FolderNames {
    std::string trash, archive;
};

int mark_seen_file(const maildir::Folders& folders, const Place& place, const std::string& base) {
    const Place seen{false, maildir::with_seen(place.suffix)};
    const auto from = base + place.suffix;
    const auto to = base + seen.suffix;
    const int from_directory = folders.at(place), to_directory = folders.at(seen);
    if (seen == place) return ::faccessat(from_directory, from.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
    if (::renameat2(from_directory, from.c_str(), to_directory, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
    if (errno == EEXIST) return 0;  // a second copy that bears the mark already
    if (errno != EINVAL && errno != ENOSYS) return errno;
    return ::renameat(from_directory, from.c_str(), to_directory, to.c_str()) == 0 ? 0 : errno;
}

class MaildirMailbox final : public Mailbox {
public:
    MaildirMailbox(Fiber& fiber, local::UserPath path, FolderNames folders, std::chrono::milliseconds limit,
                   UniqueIdFormat unique_ids)
        : fiber_(fiber),
          path_(std::move(path)),
          folders_(std::move(folders)),
          limit_(limit),
          unique_ids_(std::move(unique_ids)) {}

    Result<Listing> list(KnownMailbox) override {
        auto messages = take_snapshot();
        if (!messages) return messages.error();
        if (auto status = add_unique_ids(*messages); !status) return status.error();
        return Listing{std::move(*messages), {}, {}};
    }

    std::string unique_id(const MessageInfo& message) const override { return fit_unique_id(message.id); }

    Status fetch(const MessageInfo& message, BodySink& sink) override {
        return stream(message, sink, local::block_size);
    }
    Status fetch_top(const MessageInfo& message, BodySink& sink) override { return stream(message, sink, top_block); }

    RemovalReport remove(const std::vector<MessageInfo>& messages) override {
        return report(in_batches(
            messages, batch,
            [](const maildir::Folders&, const Place&, const std::string&, int directory, const std::string& name) {
                return ::unlinkat(directory, name.c_str(), 0) == 0 ? 0 : errno;
            }));
    }

    RemovalReport move(const std::vector<MessageInfo>& messages, SpecialFolder target) override {
        if (messages.empty()) return {};
        auto opened = on_pool(fiber_, limit_, [path = path_, name = name_of(target)]() -> Result<SharedTarget> {
            auto folder = maildir::open_target(path, name);
            if (!folder) return folder.error();
            return std::make_shared<const maildir::Target>(std::move(*folder));
        });
        if (!opened) return {std::vector(messages.size(), Removal::failed), opened.error()};
        return report(in_batches(
            messages, move_batch,
            [folder = *opened](const maildir::Folders&, const Place&, const std::string&, int directory,
                               const std::string& name) { return maildir::move_file(directory, name, *folder); }));
    }

    Status mark_seen(const std::vector<MessageInfo>& messages) override {
        return in_batches(messages, batch,
                          [](const maildir::Folders& folders, const Place& place, const std::string& base, int,
                             const std::string&) { return mark_seen_file(folders, place, base); })
            .status;
    }

    Result<std::vector<bool>> unread(const std::vector<MessageInfo>& messages) override {
        std::vector<std::string> ids;
        for (const auto& message : messages) ids.push_back(message.id);
        return on_pool(fiber_, limit_, [ids = std::move(ids), path = path_]() -> Result<std::vector<bool>> {
            const auto folders = maildir::open_folders(path);
            if (!folders) return folders.error();
            const auto found = maildir::scan(*folders);
            if (!found) return found.error();
            std::vector<bool> unread;
            for (const auto& id : ids) {
                const auto entry = found->find(id);
                unread.push_back(entry != found->end() && !maildir::is_seen(entry->second));
            }
            return unread;
        });
    }

    Status keep_alive() override { return {}; }
    void close() override {}

private:
    using SharedTarget = std::shared_ptr<const maildir::Target>;

    const std::string& name_of(SpecialFolder folder) const {
        return folder == SpecialFolder::trash ? folders_.trash : folders_.archive;
    }

    Result<std::vector<MessageInfo>> take_snapshot() {
        struct Work {
            std::optional<maildir::Listing> listing;
            std::vector<MessageInfo> messages;
        };
        const auto work = std::make_shared<Work>();
        auto begun = on_pool(fiber_, limit_, [work, path = path_, places = places_]() -> Status {
            auto listing = maildir::Listing::begin(path, places);
            if (!listing) return listing.error();
            work->listing = std::move(*listing);
            return {};
        });
        if (!begun) return begun.error();
        // In steps, so that a large mailbox does not keep a thread of the pool from all others.
        for (bool done = false; !done;) {
            const auto stepped = on_pool(fiber_, limit_, [work]() -> Result<bool> {
                if (auto status = work->listing->step(); !status) return status.error();
                if (!work->listing->done()) return false;
                work->messages = work->listing->take();
                return true;
            });
            if (!stepped) return stepped.error();
            done = *stepped;
        }
        return std::move(work->messages);
    }

    /// Gives messages the ids that another server gave them.
    Status add_unique_ids(std::vector<MessageInfo>& messages) {
        if (unique_ids_.is_native()) return {};
        const auto ids = std::make_shared<maildir::ServerIds>(unique_ids_, std::move(messages));
        auto status = on_pool(fiber_, limit_, [ids, path = path_] { return ids->begin(path); });
        for (bool done = false; status && !done;) {
            const auto stepped = on_pool(fiber_, limit_, [ids]() -> Result<bool> {
                if (auto step = ids->step(); !step) return step.error();
                return ids->done();
            });
            if (!stepped) return stepped.error();
            done = *stepped;
        }
        if (status) messages = ids->take();
        return status;
    }

    Status stream(const MessageInfo& message, BodySink& sink, std::size_t limit) {
        const auto reading = std::make_shared<std::optional<maildir::Reading>>();
        // The first piece comes along with the opening: most messages need one call of the pool.
        auto status =
            on_pool(fiber_, limit_, [reading, path = path_, places = places_, id = message.id, limit]() -> Status {
                auto opened = maildir::Reading::open(path, *places, id);
                if (!opened) return opened.error();
                *reading = std::move(*opened);
                return (*reading)->done() ? Status() : (*reading)->step(limit);
            });
        while (status) {
            const auto piece = (*reading)->piece();
            if (!piece.empty() && !sink.write(piece)) return Error{Errc::sink_closed, {}, {}};
            if ((*reading)->done()) break;
            status = on_pool(fiber_, limit_, [reading, limit] { return (*reading)->step(limit); });
        }
        return status;
    }

    struct Outcomes {
        std::vector<int> outcomes;  // 0, ENOENT for a message that is gone, or why it failed
        Status status;              // of the last that failed
    };

    static RemovalReport report(const Outcomes& done) {
        RemovalReport report{{}, done.status};
        for (const int error : done.outcomes)
            report.outcomes.push_back(error == 0        ? Removal::removed
                                      : error == ENOENT ? Removal::gone
                                                        : Removal::failed);
        return report;
    }

    /// Calls `act(folders, place, base, directory, name)` on the pool for each file, `size` of them at once.
    template <class Act>
    Outcomes in_batches(const std::vector<MessageInfo>& messages, std::size_t size, Act act) {
        Outcomes all{std::vector<int>(messages.size(), EAGAIN), {}};
        for (std::size_t begin = 0; begin < messages.size(); begin += size) {
            std::vector<std::string> ids;
            for (std::size_t i = begin; i < std::min(begin + size, messages.size()); ++i) ids.push_back(messages[i].id);
            const auto done = on_pool(
                fiber_, limit_,
                [ids, path = path_, places = places_, act, until = fiber_.fence()]() -> Result<std::vector<int>> {
                    const auto folders = maildir::open_folders(path);
                    if (!folders) return folders.error();
                    return maildir::for_each(
                        *folders, *places, ids,
                        [&](std::size_t i, const Place& place, int directory, const std::string& name) {
                            if (Clock::now() >= until) return ETIMEDOUT;
                            return act(*folders, place, ids[i], directory, name);
                        });
                });
            if (!done) {
                all.status = done.error();
                break;
            }
            for (std::size_t i = 0; i < ids.size(); ++i) {
                const int error = (*done)[i];
                all.outcomes[begin + i] = error;
                if (error != 0 && error != ENOENT) all.status = system_error(error, ids[i]);
            }
        }
        return all;
    }

    Fiber& fiber_;
    local::UserPath path_;
    FolderNames folders_;
    std::chrono::milliseconds limit_;  // for one call of the blocking pool
    UniqueIdFormat unique_ids_;
    std::shared_ptr<Places> places_ = std::make_shared<Places>();
};

class MaildirBackend final : public Backend {
public:
    MaildirBackend(std::string pattern, FolderNames folders, std::chrono::milliseconds limit, UniqueIdFormat unique_ids)
        : pattern_(std::move(pattern)),
          folders_(std::move(folders)),
          limit_(limit),
          unique_ids_(std::move(unique_ids)) {}

    Result<std::unique_ptr<Mailbox>> open(Fiber& fiber, const UpstreamLogin& login) const override {
        auto path = local::UserPath::expand(pattern_, login.user);
        if (!path) return path.error();
        auto there = on_pool(fiber, limit_, [path = *path]() -> Status {
            const auto folders = maildir::open_folders(path);
            return folders ? Status() : Status(folders.error());
        });
        if (!there) return there.error();
        return std::unique_ptr<Mailbox>(
            std::make_unique<MaildirMailbox>(fiber, std::move(*path), folders_, limit_, unique_ids_));
    }

    std::string mailbox_key(const std::string& user) const override {
        const auto path = local::UserPath::expand(pattern_, user);
        return "maildir:" + (path ? path->canonical() : "?" + user);
    }

    bool checks_password() const override { return false; }

private:
    std::string pattern_;
    FolderNames folders_;
    std::chrono::milliseconds limit_;
    UniqueIdFormat unique_ids_;
};

}  // namespace

Result<std::unique_ptr<Backend>> make_maildir_backend(const BackendOptions& options) {
    auto pattern = local::path_pattern(options.url, "maildir");
    if (!pattern) return pattern.error();
    auto trash = maildir::folder_directory(options.trash_folder.empty() ? "Trash" : options.trash_folder);
    if (!trash) return trash.error();
    auto archive = maildir::folder_directory(options.archive_folder.empty() ? "Archive" : options.archive_folder);
    if (!archive) return archive.error();
    auto unique_ids = UniqueIdFormat::parse(options.unique_ids);
    if (!unique_ids) return unique_ids.error();
    if (unique_ids->needs_gmail_id())
        return Error{Errc::permanent, "a Maildir knows no Gmail ids, which these unique-ids are made of", {}};
    return std::unique_ptr<Backend>(
        std::make_unique<MaildirBackend>(std::move(*pattern), FolderNames{std::move(*trash), std::move(*archive)},
                                         options.command_timeout, std::move(*unique_ids)));
}

}  // namespace popgate
