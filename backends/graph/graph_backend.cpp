#include "backends/graph/graph_backend.hpp"

#include "backends/graph/graph_mailbox.hpp"
#include "backends/unique_id_format.hpp"
#include "backends/user_path.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace popgate {

using namespace graph;

namespace {

constexpr std::string_view standard_root = "https://graph.microsoft.com/v1.0";
constexpr std::string_view standard_version = "/v1.0";
// Microsoft's figures, of one application and mailbox; one edition of its page counts the four of all mailboxes
// together, which `concurrent_requests` cannot express: 429 and Retry-After do.
constexpr UpstreamLimits limits{.concurrent_per_account = 4, .concurrent_per_application = 64};

struct GraphSettings {
    std::shared_ptr<const http::Upstream> upstream;
    http::Url root;
    http::CredentialForm form;
    std::string token_file;
    std::string mailbox;
    std::string folder;
    std::array<std::string, 2> special_folders;
    std::string name;
};

class GraphBackend final : public Backend {
public:
    explicit GraphBackend(GraphSettings settings) : settings_(std::move(settings)) {}

    Result<std::unique_ptr<Mailbox>> open(Fiber& fiber, const UpstreamLogin& login) const override {
        std::string owner = "/me";
        if (!settings_.mailbox.empty()) {
            const auto name = expand_user_path(settings_.mailbox, login.user);
            if (!name) return name.error();
            owner = "/users/" + http::encode_component(*name);
        }
        auto credential = http::make_credential(settings_.form, settings_.token_file, login);
        if (!credential) return credential.error();
        auto api = std::make_unique<Api>(fiber, settings_.upstream, owner_of(login.user), std::move(*credential),
                                         settings_.root, std::move(owner));
        auto folder = find_folder(*api, settings_.folder);
        if (!folder) return why_not(folder.error());
        api->has_opened();
        return std::unique_ptr<Mailbox>(
            std::make_unique<GraphMailbox>(std::move(api), std::move(*folder), settings_.special_folders));
    }

    // Exchange takes names in any case for one mailbox.
    std::string mailbox_key(const std::string& user) const override {
        std::string key = "graph:" + settings_.name + "/" + settings_.folder + "/" + owner_of(user);
        std::ranges::transform(key, key.begin(),
                               [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
        return key;
    }

    bool key_blocks() const override { return false; }
    bool checks_password() const override { return http::carries_password(settings_.form, settings_.token_file); }

private:
    std::string owner_of(const std::string& user) const {
        return http::mailbox_owner(settings_.form, settings_.token_file, settings_.mailbox, user);
    }

    Error why_not(Error error) const {
        if (error.code == Errc::gone)
            return {Errc::permanent, "there is no such mailbox, or no such folder in it", error.detail};
        // The client's own password was checked by somebody else, and is right.
        if (error.code == Errc::auth && !checks_password())
            return {Errc::temporary, "the mail server does not accept popgate's token", error.detail};
        return error;
    }

    GraphSettings settings_;
};

}  // namespace

Result<std::unique_ptr<Backend>> make_graph_backend(const BackendOptions& options) {
    const auto bad = [](std::string text) { return Error{Errc::permanent, std::move(text), {}}; };
    GraphSettings settings;
    const auto place = options.url.substr(std::min(options.url.size(), options.url.find(':') + 1));
    auto root = http::parse_url(place.empty() ? standard_root : std::string_view(place));
    if (!root || root->target.find_first_of("?#%") != std::string::npos)
        return bad("\"" + options.url + "\" is neither graph: nor such as graph:https://graph.microsoft.us");
    while (root->target.ends_with('/')) root->target.pop_back();
    if (root->target.empty()) root->target = standard_version;
    settings.root = std::move(*root);

    const auto unique_ids = UniqueIdFormat::parse(options.unique_ids);
    if (!unique_ids) return unique_ids.error();
    if (!unique_ids->is_native())
        return bad("Microsoft Graph knows no UIDs and no names of files, which these unique-ids are made of");
    if (options.folder.empty() || options.folder.starts_with('/'))
        return bad("the folder's name is empty or begins with a '/'");

    auto form = http::CredentialForm::parse(options.http_auth.empty() ? "bearer" : options.http_auth);
    if (!form) return form.error();
    settings.form = std::move(*form);
    auto upstream = http::Upstream::make(options, limits);
    if (!upstream) return upstream.error();
    settings.upstream = std::move(*upstream);
    settings.token_file = options.token_file;
    settings.mailbox = options.mailbox;
    settings.folder = options.folder;
    settings.special_folders = {options.trash_folder, options.archive_folder};
    settings.name =
        options.state_name.empty() ? settings.root.origin.host + ":" + settings.root.origin.port : options.state_name;
    return std::unique_ptr<Backend>(std::make_unique<GraphBackend>(std::move(settings)));
}

}  // namespace popgate
