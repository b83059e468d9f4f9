#include "gateway/commands/doctor_files.hpp"

#include "gateway/accounts/secret_file.hpp"
#include "gateway/config/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace popgate::commands {

namespace {

bool may(const std::string& path, int what) { return ::faccessat(AT_FDCWD, path.c_str(), what, AT_EACCESS) == 0; }

Finding judge_readers(const std::string& check, const std::string& file, const std::string& good) {
    if (is_readable_by_all(secret_path(file)))
        return {check, file, Verdict::warning, "everybody on this machine can read it", "chmod 600 " + plain(file)};
    return {check, file, Verdict::ok, good};
}

/// Lines of hashes: may be of any length.
Finding examine_password_file(const std::string& file) {
    const auto problem = why_unreadable(file);
    if (problem.empty()) return judge_readers("file", file, "can be read");
    return {"file", file, Verdict::failure, problem, "Let popgate's user read it; and run this command as that user."};
}

/// Tokens of single users: the folder that holds them is all that can be looked at.
Finding examine_token_folder(const std::string& pattern) {
    const auto folder = fixed_part(pattern);
    if (may(folder, X_OK)) return {"file", pattern, Verdict::ok, folder + " can be entered"};
    return {"file", pattern, Verdict::failure, folder + ": " + std::strerror(errno),
            "Make the folder of token_file, and let popgate's user enter it."};
}

Finding examine_mailbox_place(const std::string& url) {
    const auto path = url.substr(url.find(':') + 1);
    const auto place = fixed_part(path);
    const bool is_pattern = place != path;
    struct stat status {};
    if (::stat(place.c_str(), &status) != 0)
        return {"mailbox", url, Verdict::failure, place + ": " + std::strerror(errno),
                "Is the path of the backend right, and mounted? Make it, or correct the route."};
    const bool is_folder = S_ISDIR(status.st_mode);
    if (is_pattern && !is_folder)
        return {"mailbox", url, Verdict::failure, place + " is no folder", "Correct the route's backend."};
    if (!may(place, is_folder ? X_OK | (is_pattern ? 0 : R_OK) : R_OK))
        return {"mailbox", url, Verdict::failure, place + ": " + std::strerror(errno),
                "Let popgate's user read it, or run popgate (and this command) as one that may."};
    if (!is_pattern && !may(place, W_OK))
        return {"mailbox", url, Verdict::warning, place + " can be read only",
                "Let popgate's user write there: messages can be neither removed nor marked as read."};
    return {"mailbox", url, Verdict::ok, place + (is_pattern ? " can be entered" : " can be read and written")};
}

}  // namespace

std::string fixed_part(const std::string& path) {
    const auto percent = path.find('%');
    if (percent == std::string::npos) return path;
    const auto slash = path.rfind('/', percent);
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

Finding examine_secret_file(const std::string& check, const std::string& file, const std::string& good) {
    if (const auto content = read_secret_file(file); !content)
        return {check, file, Verdict::failure, content.error().text,
                secret_path(file).empty()
                    ? "See LoadCredential= in the unit; or this command does not run in it."
                    : "Make it, or let popgate's user read it; and run this command as that user."};
    return judge_readers(check, file, good);
}

std::vector<Finding> examine_secret_files(const Config& config) {
    std::vector<std::string> files;
    std::vector<std::string> password_files;
    std::vector<std::string> patterns;
    const auto add = [](std::vector<std::string>& to, const std::string& file) {
        if (!file.empty() && std::ranges::find(to, file) == to.end()) to.push_back(file);
    };
    for (const auto& route : config.routes) {
        const auto& token_file = route.backend.token_file;
        add(token_file.find('%') == std::string::npos ? files : patterns, token_file);
        add(files, route.master_password_file);
        add(password_files, route.password_file);
    }
    for (const auto& provider : config.oauth_providers) {
        add(files, provider.client_secret_file);
        add(files, provider.client_key);
        add(files, provider.service_account_file);
    }
    std::vector<Finding> findings;
    for (const auto& each : files) findings.push_back(examine_secret_file("file", each, "can be read"));
    for (const auto& each : password_files) findings.push_back(examine_password_file(each));
    for (const auto& each : patterns) findings.push_back(examine_token_folder(each));
    const auto& command = config.login.sign_in_command;
    if (!command.empty() && !may(command, X_OK))
        findings.push_back({"file", command, Verdict::failure, std::strerror(errno),
                            "Make sign_in_command a program that popgate's user may run (chmod 755)."});
    return findings;
}

std::vector<Finding> examine_local_mailboxes(const Config& config) {
    std::vector<Finding> findings;
    for (const auto& route : config.routes)
        if (const auto& url = route.backend.url; url.starts_with("maildir:") || url.starts_with("mbox:"))
            findings.push_back(examine_mailbox_place(url));
    return findings;
}

}  // namespace popgate::commands
