#include "backends/jmap/jmap_backend.hpp"

#include "backends/jmap/jmap_mailbox.hpp"
#include "backends/unique_id_format.hpp"
#include "backends/user_path.hpp"

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include <algorithm>

namespace popgate {

using namespace jmap;

namespace {

/// The route, as far as it is not the mailbox's concern.
struct JmapRoute {
    std::shared_ptr<const http::Upstream> upstream;
    http::CredentialForm form;
    std::string token_file;
    std::string mailbox;  ///< a pattern; empty: the user's own
    std::string name;     ///< of the server, in keys
};

class JmapBackend final : public Backend {
public:
    JmapBackend(JmapRoute route, JmapSettings settings)
        : route_(std::move(route)), settings_(std::make_shared<const JmapSettings>(std::move(settings))) {}

    Result<std::unique_ptr<Mailbox>> open(Fiber& fiber, const UpstreamLogin& login) const override {
        std::string account;
        if (!route_.mailbox.empty()) {
            auto expanded = expand_user_path(route_.mailbox, login.user);
            if (!expanded) return expanded.error();
            account = std::move(*expanded);
        }
        auto credential = http::make_credential(route_.form, route_.token_file, login);
        if (!credential) return credential.error();
        auto api = std::make_unique<Api>(fiber, route_.upstream, mailbox_key(login.user), std::move(*credential));
        return JmapMailbox::open(settings_, std::move(api), account);
    }

    // Servers take login.user names in any case for one account; names of folders and shared accounts are as they are.
    std::string mailbox_key(const std::string& user) const override {
        auto owner = http::mailbox_owner(route_.form, route_.token_file, route_.mailbox, user);
        if (!route_.mailbox.empty()) return "jmap-shared:" + route_.name + "/" + settings_->folder + "/" + owner;
        std::ranges::transform(owner, owner.begin(),
                               [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
        return "jmap:" + route_.name + "/" + settings_->folder + "/" + owner;
    }

    bool key_blocks() const override { return false; }
    bool checks_password() const override { return settings_->discovery.clients_password; }

private:
    JmapRoute route_;
    std::shared_ptr<const JmapSettings> settings_;
};

/// `text` holds origins, separated by spaces; those in clear are refused where the route is not.
Result<std::vector<http::Origin>> read_origins(std::string_view text, bool route_has_tls) {
    std::vector<http::Origin> origins;
    for (std::size_t end = 0; (end = text.find_first_not_of(' ')) != std::string_view::npos;) {
        text.remove_prefix(end);
        const std::string word(text.substr(0, text.find(' ')));
        text.remove_prefix(word.size());
        const auto url = http::parse_url(word);
        if (!url || url->target != "/" || word.ends_with('/') || word.ends_with('#'))
            return Error{Errc::permanent, '"' + word + "\" is no origin such as \"https://www.example.com\"", {}};
        if (route_has_tls && !url->origin.tls)
            return Error{Errc::permanent, '"' + word + "\" would be sent the credential in clear", {}};
        origins.push_back(url->origin);
    }
    return origins;
}

}  // namespace

Result<std::unique_ptr<Backend>> make_jmap_backend(const BackendOptions& options) {
    const auto bad = [](std::string text) { return Error{Errc::permanent, std::move(text), {}}; };
    const auto url = boost::urls::parse_uri(options.url);
    if (!url) return bad("\"" + options.url + "\" is not a URL such as jmaps://jmap.example.com");
    if (url->encoded_host().empty()) return bad("\"" + options.url + "\" names no host");
    if (url->has_userinfo() || url->has_query() || url->has_fragment())
        return bad("\"" + options.url + "\" may hold a host, a port and the path of the Session object only");
    if (url->has_port() && (url->port_number() == 0 || url->port().size() > 5))
        return bad("\"" + options.url + "\" has no valid port");
    const auto unique_ids = UniqueIdFormat::parse(options.unique_ids);
    if (!unique_ids) return unique_ids.error();
    if (!unique_ids->is_native()) return bad("JMAP knows nothing of what these unique-ids are made of");
    if (options.folder.empty()) return bad("the folder's name is empty");

    JmapRoute route;
    auto form = http::CredentialForm::parse(options.http_auth.empty() ? "basic" : options.http_auth);
    if (!form) return form.error();
    route.form = std::move(*form);
    route.token_file = options.token_file;
    route.mailbox = options.mailbox;
    auto upstream = http::Upstream::make(options, UpstreamLimits{});
    if (!upstream) return upstream.error();
    (*upstream)->judge = judge;
    route.upstream = std::move(*upstream);

    JmapSettings settings;
    auto& discovery = settings.discovery;
    const bool tls = url->scheme() == "jmaps";
    const std::string path(url->encoded_path());
    const bool has_path = !path.empty() && path != "/";
    auto place = http::parse_url((tls ? "https" : "http") + options.url.substr(options.url.find(':')));
    if (!place) return bad("\"" + options.url + "\" is not a URL such as jmaps://jmap.example.com");
    discovery.url = std::move(*place);
    if (!has_path) discovery.url.target = "/.well-known/jmap";
    discovery.ask_dns = tls && !has_path && !url->has_port() && url->host_type() == boost::urls::host_type::name;
    auto trusted = read_origins(options.trusted_origins, tls);
    if (!trusted) return trusted.error();
    discovery.trusted_origins = std::move(*trusted);
    discovery.clients_password = http::carries_password(route.form, route.token_file);
    // INBOX is one folder in whatever case it is written, and has one key.
    const bool is_inbox =
        options.folder.size() == 5 && std::ranges::equal(options.folder, std::string_view("INBOX"), {},
                                                         [](char c) { return static_cast<char>(c & ~0x20); });
    settings.folder = is_inbox ? "INBOX" : options.folder;
    settings.trash_folder = options.trash_folder;
    settings.archive_folder = options.archive_folder;
    const auto& origin = discovery.url.origin;
    route.name =
        options.state_name.empty() ? origin.host + ":" + origin.port + (has_path ? path : "") : options.state_name;
    return std::unique_ptr<Backend>(std::make_unique<JmapBackend>(std::move(route), std::move(settings)));
}

}  // namespace popgate
