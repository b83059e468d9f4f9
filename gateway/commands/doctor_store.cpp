#include "gateway/commands/doctor_store.hpp"

#include "gateway/accounts/account_store.hpp"
#include "gateway/accounts/accounts.hpp"
#include "gateway/accounts/secret_file.hpp"
#include "gateway/accounts/vault.hpp"
#include "gateway/commands/doctor_files.hpp"
#include "gateway/commands/doctor_machine.hpp"
#include "gateway/commands/on_fiber.hpp"
#include "gateway/commands/place.hpp"
#include "gateway/config/redis_url.hpp"
#include "gateway/state/inspect.hpp"
#include "gateway/state/state_store.hpp"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace popgate::commands {

namespace {

namespace fs = std::filesystem;

std::string user_name(uid_t id) {
    passwd entry{};
    passwd* found = nullptr;
    std::string buffer(16384, '\0');
    if (::getpwuid_r(id, &entry, buffer.data(), buffer.size(), &found) == 0 && found) return entry.pw_name;
    return std::to_string(id);
}

bool may_work_in(const std::string& folder) {
    return ::faccessat(AT_FDCWD, folder.c_str(), R_OK | W_OK | X_OK, AT_EACCESS) == 0;
}

Finding examine_folder(const std::string& folder) {
    struct stat status {};
    if (::stat(folder.c_str(), &status) != 0) {
        if (errno != ENOENT)
            return {"state", folder, Verdict::failure, std::strerror(errno), "Let popgate's user enter it."};
        auto above = fs::path(folder).parent_path();
        std::error_code ignored;
        while (above.has_relative_path() && !fs::exists(above, ignored)) above = above.parent_path();
        if (may_work_in(above)) return {"state", folder, Verdict::ok, "is not there yet; the first start makes it"};
        return {"state", folder, Verdict::failure, "is not there, and this user cannot make it",
                "Make it: install -d -m 750 -o USER " + plain(folder)};
    }
    if (!may_work_in(folder))
        return {"state", folder, Verdict::failure,
                std::string(std::strerror(errno)) + " for this user; it is " + user_name(status.st_uid) + "'s",
                "Run popgate (and this command) as that user, or: chown USER " + plain(folder)};
    if (status.st_uid != ::geteuid())
        return {"state", folder, Verdict::warning, "it is " + user_name(status.st_uid) + "'s, not this user's",
                "Run this command as the user that popgate runs as: then what it says holds for popgate."};
    return {"state", folder, Verdict::ok, "is this user's"};
}

Finding describe(const StateFileReport& report) {
    if (!report.damage.empty())
        return {
            "state", report.path, Verdict::failure, report.damage,
            report.path.ends_with("-unique-ids") || report.path.ends_with("-accounts")
                ? "Stop popgate and put the file back from a copy."
                : "The next start puts what can be read of it into a new file, and keeps this one: see operating.md."};
    if (!report.unusable.empty())
        return {"state", report.path, Verdict::failure, report.unusable,
                "See who owns the file and its folder, whether the disk is full or read-only, and which popgate wrote "
                "it last."};
    return {"state", report.path, Verdict::ok,
            report.is_older ? "is whole and can be written; the next start brings it to this version"
                            : "is whole and can be written"};
}

bool keeps_secrets(const Config& config) {
    return std::ranges::any_of(config.routes, [](const RouteConfig& route) {
        return route.auth == ClientAuth::app_passwords || route.upstream() == UpstreamAuth::stored ||
               route.upstream() == UpstreamAuth::oauth;
    });
}

std::vector<Finding> examine_redis(const Config& config) {
    // The URL may hold a password.
    const auto finding = [](Verdict verdict, std::string text, std::string advice = {}) {
        return Finding{"state", "redis", verdict, std::move(text), std::move(advice)};
    };
    const auto store = open_state_store(config.state);
    if (!store) return {finding(Verdict::failure, in_words(store.error()), "See [state] in the configuration.")};
    std::vector<Finding> findings;
    on_fiber([&](Fiber& fiber) {
        auto status = (*store)->check(fiber);
        const auto remarks = status ? (*store)->remarks(fiber) : Result<std::vector<std::string>>(status.error());
        if (!remarks)
            findings.push_back(
                finding(Verdict::failure, in_words(remarks.error()),
                        "Until it is reached, nobody can log in. See [state] url, password_file and ca_file."));
        else
            findings.push_back(finding(Verdict::ok, "answers, and its format is this version's"));
        for (const auto& each : remarks ? *remarks : std::vector<std::string>())
            findings.push_back(finding(Verdict::warning, each, "See docs/scaling.md."));
        return 0;
    });
    return findings;
}

}  // namespace

std::vector<Finding> examine_store(const Config& config) {
    if (redis::is_redis_url(config.state.url)) return examine_redis(config);
    const auto path = state_path(config.state.url);
    if (path.empty())
        return {{"state", config.state.url, Verdict::warning, "what is remembered ends with the process",
                 "Name a file in [state] url, unless this is for a trial."}};
    const auto folder = fs::path(path).parent_path().string();
    std::vector<Finding> findings{examine_folder(folder)};
    struct statvfs disk {};
    auto there = fs::path(folder);
    std::error_code ignored;
    while (there.has_relative_path() && !fs::exists(there, ignored)) there = there.parent_path();
    if (::statvfs(there.c_str(), &disk) == 0)
        findings.push_back(judge_room(folder, {1ULL * disk.f_bavail * disk.f_frsize, disk.f_files, disk.f_favail}));
    if (findings.front().verdict == Verdict::failure) return findings;
    const auto reports = inspect_state(path);
    for (const auto& each : reports) findings.push_back(describe(each));
    if (reports.empty() && fs::exists(folder, ignored))
        findings.push_back({"state", path, Verdict::ok, "is not there yet; the first start makes it"});
    return findings;
}

Finding examine_keys(const Config& config) {
    const auto key_file = key_file_of(config);
    const auto path = state_path(config.state.url);
    std::error_code ignored;
    Vault vault(key_file);
    // Nodes share the accounts, and need the same keys.
    const bool is_shared = redis::is_redis_url(config.state.url) && keeps_secrets(config);
    const bool has_records = is_shared || (!path.empty() && fs::exists(path + "-accounts", ignored));
    if (!has_records && !vault.exists()) {
        if (keeps_secrets(config) && !secret_path(key_file).empty())
            return {"secrets", key_file, Verdict::ok, "is not there yet; the first account makes it"};
        if (!keeps_secrets(config)) return {"secrets", key_file, Verdict::ok, "nothing is kept that needs keys"};
    }
    auto finding = examine_secret_file("secrets", key_file, "can be read");
    if (finding.verdict == Verdict::failure && has_records)
        finding.advice =
            "Put the key file back from its copy: without it nothing that is kept of accounts can be read.";
    if (finding.verdict == Verdict::failure || !has_records) return finding;
    const auto store = open_state_store(config.state);
    if (!store) return {"secrets", path, Verdict::failure, in_words(store.error()), "See [state] url."};
    const AccountStore accounts(**store, vault);
    on_fiber([&](Fiber& fiber) {
        const auto users = accounts.users(fiber);
        std::size_t bad = 0;
        std::string why = users ? std::string() : in_words(users.error());
        for (std::size_t i = 0; users && i < users->size(); ++i) {
            const auto account = accounts.account(fiber, (*users)[i]);
            const auto tokens = accounts.tokens(fiber, (*users)[i]);
            if (account && tokens) continue;
            if (bad++ == 0) why = in_words(account ? tokens.error() : account.error());
        }
        if (!why.empty())
            finding = {
                "secrets", key_file, Verdict::failure,
                (users ? std::to_string(bad) + " of " + std::to_string(users->size()) + " accounts cannot be read: "
                       : "") +
                    why,
                "Is it the right key file? popgate secrets check names every account."};
        else if (finding.verdict == Verdict::ok)
            finding.text = "opens all of " + std::to_string(users->size()) + " accounts";
        return exit_done;
    });
    return finding;
}

}  // namespace popgate::commands
