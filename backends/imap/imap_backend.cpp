#include "backends/imap/imap_backend.hpp"

#include "backends/imap/imap_mailbox.hpp"
#include "backends/modified_utf7.hpp"
#include "backends/unique_id_format.hpp"

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include <algorithm>
#include <tuple>

namespace popgate {

using namespace imap;

namespace {

class ImapBackend final : public Backend {
public:
    explicit ImapBackend(ImapSettings settings)
        : settings_(std::make_shared<const ImapSettings>(std::move(settings))) {}

    Result<std::unique_ptr<Mailbox>> open(Fiber& fiber, const UpstreamLogin& login) const override {
        auto connection = ImapConnection::reuse(fiber, *settings_, login);
        if (!connection) {
            auto opened = ImapConnection::open(fiber, *settings_, login);
            if (opened.has_error()) return opened.error();
            connection = std::move(*opened);
        }
        return std::unique_ptr<Mailbox>(
            std::make_unique<ImapMailbox>(fiber, settings_, login.copy(), std::move(connection)));
    }

    // Many servers take names in any case for one account; two accounts that differ in case alone would only wait for
    // each other.
    std::string mailbox_key(const std::string& user) const override {
        std::string key = "imap:" + settings_->name + "/" + settings_->mailbox + "/" + user;
        std::ranges::transform(key, key.begin(),
                               [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
        return key;
    }

    bool key_blocks() const override { return false; }
    bool checks_password() const override { return true; }

private:
    std::shared_ptr<const ImapSettings> settings_;
};

}  // namespace

Result<std::unique_ptr<Backend>> make_imap_backend(const BackendOptions& options) {
    const auto bad = [](std::string text) { return Error{Errc::permanent, std::move(text), {}}; };
    const auto url = boost::urls::parse_uri(options.url);
    if (!url) return bad("\"" + options.url + "\" is not a URL such as imaps://imap.example.com");
    if (url->encoded_host().empty()) return bad("\"" + options.url + "\" names no host");
    if (url->has_userinfo() || url->has_query() || url->has_fragment() || (url->path() != "" && url->path() != "/"))
        return bad("\"" + options.url + "\" may hold a host and a port only; the folder has a key of its own");
    if (url->has_port() && (url->port_number() == 0 || url->port().size() > 5))
        return bad("\"" + options.url + "\" has no valid port");

    const auto unique_ids = UniqueIdFormat::parse(options.unique_ids);
    if (!unique_ids) return unique_ids.error();
    if (unique_ids->needs_file_name()) return bad("IMAP knows no names of files, which these unique-ids are made of");

    ImapSettings settings;
    settings.host = url->host_address();
    settings.implicit_tls = url->scheme() == "imaps";
    settings.port = url->has_port() ? std::to_string(url->port_number()) : settings.implicit_tls ? "993" : "143";
    settings.start_tls = !settings.implicit_tls && options.starttls == StartTls::require;
    auto mailbox = to_modified_utf7(options.folder);
    if (!mailbox || mailbox->empty()) return bad("the folder's name is empty, not UTF-8 or holds control characters");
    settings.mailbox = std::move(*mailbox);
    for (const auto& [name, folder, setting] :
         {std::tuple{"trash_folder", &options.trash_folder, &settings.trash_folder},
          std::tuple{"archive_folder", &options.archive_folder, &settings.archive_folder}}) {
        auto encoded = to_modified_utf7(*folder);
        if (!encoded) return bad(std::string(name) + " is not UTF-8 or holds control characters");
        *setting = std::move(*encoded);
    }
    settings.unique_ids = *unique_ids;
    settings.name = options.state_name.empty() ? settings.host + ":" + settings.port : options.state_name;
    settings.read_ahead = options.read_ahead;
    settings.connect_timeout = options.connect_timeout;
    settings.command_timeout = options.command_timeout;
    settings.reuse_upstream = options.reuse_upstream;
    settings.limiter = std::make_shared<Limiter>(UpstreamLimits{options.upstream_connections, 0, 0});
    if (settings.implicit_tls || settings.start_tls) {
        auto tls = TlsClientContext::make(options.ca_file, options.verify_certificate);
        if (tls.has_error()) return tls.error();
        settings.tls = std::move(*tls);
    }
    return std::unique_ptr<Backend>(std::make_unique<ImapBackend>(std::move(settings)));
}

}  // namespace popgate
