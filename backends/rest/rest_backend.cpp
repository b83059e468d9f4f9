#include "backends/rest/rest_backend.hpp"

#include "backends/ascii.hpp"
#include "backends/rest/rest_mailbox.hpp"
#include "backends/unique_id_format.hpp"
#include "backends/user_path.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace popgate {

using namespace rest;

namespace {

constexpr UpstreamLimits limits{.concurrent_per_account = 4, .concurrent_per_application = 64};
constexpr std::string_view uses[] = {"\\Trash", "\\Archive"};

struct RestSettings {
    std::shared_ptr<const http::Upstream> upstream;
    std::shared_ptr<const Description> description;
    http::Url root;
    http::CredentialForm form;
    std::string token_file;
    std::string mailbox;
    std::string folder;
    std::array<std::string, 2> special_folders;
    std::string name;
};

bool is_same_name(std::string_view a, std::string_view b) {
    return a == b || (equal_but_for_case(a, "inbox") && equal_but_for_case(b, "inbox"));
}

class RestBackend final : public Backend {
public:
    explicit RestBackend(RestSettings settings) : settings_(std::move(settings)) {}

    Result<std::unique_ptr<Mailbox>> open(Fiber& fiber, const UpstreamLogin& login) const override {
        auto owner = login.user;
        if (!settings_.mailbox.empty()) {
            auto name = expand_user_path(settings_.mailbox, login.user);
            if (!name) return name.error();
            owner = std::move(*name);
        }
        // In a URL it would mean another place, and encoding does not help.
        if (login.user == "." || login.user == ".." || login.user.starts_with(".@") || login.user.starts_with("..@"))
            return Error{Errc::auth, "wrong user name or password", "a user name that cannot be part of a URL"};
        auto credential = http::make_credential(settings_.form, settings_.token_file, login);
        if (!credential) return credential.error();
        auto client =
            std::make_unique<http::Client>(fiber, settings_.upstream, owner_of(login.user), std::move(*credential));
        auto api = std::make_unique<Api>(std::move(client), settings_.root, settings_.description, std::move(owner),
                                         settings_.token_file.empty());
        const auto missing = [](const Error& error) {
            if (error.code != Errc::gone) return error;
            return Error{Errc::permanent, "there is no such mailbox, or no such folder in it", error.detail};
        };
        auto folder = settings_.folder;
        auto targets = settings_.special_folders;
        if (!settings_.description->folder_list.empty()) {
            const auto folders = read_folders(*api);
            if (!folders) return missing(folders.error());
            const auto found = std::ranges::find_if(
                *folders, [&](const Folder& each) { return is_same_name(each.name, settings_.folder); });
            if (found == folders->end())
                return Error{Errc::permanent, "there is no such folder", "folder " + settings_.folder};
            folder = found->id;
            for (std::size_t i = 0; i < targets.size(); ++i) targets[i] = find_target(*folders, i);
        }
        std::optional<Page> first;
        if (settings_.description->folder_list.empty()) {
            auto page = read_first_page(*api, folder);
            if (!page) return missing(page.error());
            first = std::move(*page);
        }
        api->has_opened();
        return std::unique_ptr<Mailbox>(
            std::make_unique<RestMailbox>(std::move(api), std::move(folder), std::move(targets), std::move(first)));
    }

    std::string mailbox_key(const std::string& user) const override {
        return "rest:" + settings_.name + "/" + settings_.folder + "/" + owner_of(user);
    }

    bool key_blocks() const override { return false; }
    bool checks_password() const override { return http::carries_password(settings_.form, settings_.token_file); }

private:
    std::string find_target(const std::vector<Folder>& folders, std::size_t i) const {
        const auto& name = settings_.special_folders[i];
        const auto found = std::ranges::find_if(folders, [&](const Folder& each) {
            return name.empty() ? each.use == uses[i] : is_same_name(each.name, name);
        });
        return found == folders.end() ? std::string() : found->id;
    }

    /// Whose mailbox it is, as far as that can be told without asking.
    std::string owner_of(const std::string& user) const {
        const auto& description = *settings_.description;
        if (description.is_one_mailbox) return {};
        auto owner = http::mailbox_owner(settings_.form, settings_.token_file, settings_.mailbox, user);
        // One credential for all users is one mailbox, unless the addresses tell them apart.
        const auto names_user = [](std::string_view url) { return url.find('%') != std::string_view::npos; };
        return owner.empty() && (names_user(description.list) || names_user(description.folder_list)) ? user : owner;
    }

    RestSettings settings_;
};

}  // namespace

Result<std::unique_ptr<Backend>> make_rest_backend(const BackendOptions& options) {
    const auto bad = [](std::string text) { return Error{Errc::permanent, std::move(text), {}}; };
    if (!options.rest_api)
        return bad("needs rest_api: \"maildev\", \"mailpit\", \"wildduck\" or a [[rest]] of the configuration");
    if (const auto problems = check(*options.rest_api); !problems.empty())
        return bad("rest_api: " + problems.front().key + ": " + problems.front().text);
    RestSettings settings;
    settings.description = options.rest_api;
    auto root = http::parse_url(std::string_view(options.url).substr(options.url.find(':') + 1));
    if (!root || root->target.find_first_of("?#%") != std::string::npos)
        return bad("\"" + options.url + "\" is not such as rest:https://api.example.com/path");
    while (root->target.ends_with('/')) root->target.pop_back();
    settings.root = std::move(*root);

    const auto unique_ids = UniqueIdFormat::parse(options.unique_ids);
    if (!unique_ids) return unique_ids.error();
    if (!unique_ids->is_native())
        return bad("a REST API knows no UIDs and no names of files, which these unique-ids are made of");
    if (options.folder.empty()) return bad("the folder's name is empty");
    auto form = http::CredentialForm::parse(options.http_auth.empty() ? options.rest_api->auth : options.http_auth);
    if (!form) return form.error();
    settings.form = std::move(*form);
    auto upstream = http::Upstream::make(options, limits);
    if (!upstream) return upstream.error();
    settings.upstream = std::move(*upstream);
    settings.token_file = options.token_file;
    settings.mailbox = options.mailbox;
    settings.folder = options.folder;
    settings.special_folders = {options.trash_folder, options.archive_folder};
    settings.name = options.state_name.empty()
                        ? settings.root.origin.host + ":" + settings.root.origin.port + settings.root.target
                        : options.state_name;
    return std::unique_ptr<Backend>(std::make_unique<RestBackend>(std::move(settings)));
}

}  // namespace popgate
