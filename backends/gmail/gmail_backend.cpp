#include "backends/gmail/gmail_backend.hpp"

#include "backends/ascii.hpp"
#include "backends/gmail/gmail_mailbox.hpp"
#include "backends/user_path.hpp"

#include <algorithm>

namespace popgate {

using namespace gmail;

namespace {

constexpr std::string_view default_url = "https://gmail.googleapis.com";
constexpr std::uint32_t default_units_per_minute = 15'000;

/// IMAP's name of it may be in any case, and so may this.
bool is_inbox(const std::string& folder) { return equal_but_for_case(folder, "inbox"); }

class GmailBackend final : public Backend {
public:
    explicit GmailBackend(Settings settings) : settings_(std::make_shared<const Settings>(std::move(settings))) {}

    Result<std::unique_ptr<Mailbox>> open(Fiber& fiber, const UpstreamLogin& login) const override {
        std::string owner;
        if (!settings_->mailbox.empty()) {
            auto expanded = expand_user_path(settings_->mailbox, login.user);
            if (!expanded) return expanded.error();
            owner = std::move(*expanded);
        }
        auto credential = http::make_credential(settings_->form, settings_->token_file, login);
        if (!credential) return credential.error();
        auto api = std::make_unique<Api>(fiber, settings_->upstream, settings_->root, owner, mailbox_key(login.user),
                                         std::move(*credential));
        auto label = open_label(*api);
        if (!label) return refusal(label.error());
        return std::unique_ptr<Mailbox>(
            std::make_unique<GmailMailbox>(std::move(api), settings_, std::move(*label), login.user));
    }

    // Two accounts that differ in case alone would only wait for each other.
    std::string mailbox_key(const std::string& user) const override {
        auto owner = http::mailbox_owner(settings_->form, settings_->token_file, settings_->mailbox, user);
        std::ranges::transform(owner, owner.begin(), lower);
        return "gmail:" + settings_->name + "/" + settings_->folder + "/" + owner;
    }

    bool key_blocks() const override { return false; }
    bool checks_password() const override { return http::carries_password(settings_->form, settings_->token_file); }

private:
    /// The first request that needs the token, so the one that proves it.
    Result<Label> open_label(Api& api) const {
        std::string id = settings_->folder;
        if (id != "INBOX") {
            auto found = api.find_label(id);
            if (!found) return found.error();
            id = std::move(*found);
        }
        auto label = api.label(id);
        if (!label) return label.error();
        if (!*label) return Error{Errc::permanent, "the account has no label of the route's name", id};
        return std::move(**label);
    }

    /// A token that is not the client's must not make the client ask for another password.
    Error refusal(Error error) const {
        if (error.code == Errc::auth && !checks_password()) error.code = Errc::temporary;
        return error;
    }

    std::shared_ptr<const Settings> settings_;
};

}  // namespace

Result<std::unique_ptr<Backend>> make_gmail_backend(const BackendOptions& options) {
    const auto bad = [](std::string text) { return Error{Errc::permanent, std::move(text), {}}; };
    constexpr std::string_view scheme = "gmail:";
    if (!options.url.starts_with(scheme)) return bad("\"" + options.url + "\" does not begin with gmail:");
    const auto place = options.url.substr(scheme.size());
    const auto url = http::parse_url(place.empty() ? default_url : place);
    if (!url || (url->target != "/" && !url->target.empty()))
        return bad("\"" + options.url + "\" is neither gmail: nor gmail:https://host[:port]");

    Settings settings;
    settings.root = url->origin;
    settings.name = options.state_name.empty() ? url->origin.host + ":" + url->origin.port : options.state_name;
    settings.mailbox = options.mailbox;
    settings.folder = is_inbox(options.folder) ? "INBOX" : options.folder;
    if (settings.folder.empty()) return bad("the folder's name is empty");
    settings.trash_folder = options.trash_folder;
    settings.archive_folder = options.archive_folder;
    settings.token_file = options.token_file;

    auto form = http::CredentialForm::parse(options.http_auth.empty() ? "bearer" : options.http_auth);
    if (!form) return form.error();
    settings.form = std::move(*form);

    auto unique_ids = UniqueIdFormat::parse(options.unique_ids);
    if (!unique_ids) return unique_ids.error();
    if (unique_ids->needs_uid() || unique_ids->needs_uid_validity() || unique_ids->needs_file_name())
        return bad("Gmail knows neither IMAP UIDs nor names of files, which these unique-ids are made of");
    settings.unique_ids = std::move(*unique_ids);

    settings.units_per_minute = options.units_per_minute > 0 ? options.units_per_minute : default_units_per_minute;
    UpstreamLimits limits;
    limits.units_per_minute = settings.units_per_minute;
    auto upstream = http::Upstream::make(options, limits);
    if (!upstream) return upstream.error();
    (*upstream)->judge = judge;
    settings.upstream = std::move(*upstream);
    return std::unique_ptr<Backend>(std::make_unique<GmailBackend>(std::move(settings)));
}

}  // namespace popgate
