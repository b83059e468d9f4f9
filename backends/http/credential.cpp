#include "backends/http/credential.hpp"

#include "backends/user_path.hpp"
#include "gateway/accounts/keyed_hash.hpp"
#include "gateway/net/blocking_call.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <optional>

namespace popgate::http {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t longest_token = 64 * 1024;
constexpr auto file_timeout = 30s;
constexpr auto token_serves = 30s;

bool has_controls(std::string_view text) {
    return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

/// The header that carries `secret` in this form. It was checked.
std::pair<std::string, Secret> make_header(const CredentialForm& form, const std::string& user,
                                           const std::string& secret) {
    std::string value;
    switch (form.kind) {
        case CredentialForm::Kind::none: return {};
        case CredentialForm::Kind::basic: value = basic_authorization(user, secret); break;
        case CredentialForm::Kind::bearer: value = "Bearer " + secret; break;
        case CredentialForm::Kind::header: value = secret; break;
    }
    std::pair<std::string, Secret> header(form.header_name.empty() ? "Authorization" : form.header_name, Secret(value));
    Secret::wipe(value);
    return header;
}

class PasswordCredential final : public Credential {
public:
    PasswordCredential(CredentialForm form, std::string user, const Secret& password)
        : form_(std::move(form)), user_(std::move(user)), password_(password.reveal()) {}
    Result<std::pair<std::string, Secret>> header(Fiber&) override {
        return make_header(form_, user_, password_.reveal());
    }
    Result<bool> renew(Fiber&) override { return false; }
    std::string fingerprint() const override {
        return form_.kind == CredentialForm::Kind::none ? std::string() : keyed_hash(user_, password_);
    }

private:
    CredentialForm form_;
    std::string user_;
    Secret password_;
};

struct ReadToken {
    std::string token;
    std::string failure;
};

ReadToken read_token(const std::string& path) {
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    std::string text(longest_token, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (!file.eof()) return {{}, path + ": " + std::strerror(errno ? errno : EFBIG)};
    text.resize(static_cast<std::size_t>(file.gcount()));
    const auto end = text.find_last_not_of(" \t\r\n");
    text.resize(end == std::string::npos ? 0 : end + 1);
    if (text.empty()) return {{}, path + ": is empty"};
    if (has_controls(text)) return {{}, path + ": holds more than one line"};
    return {std::move(text), {}};
}

class TokenFileCredential final : public Credential {
public:
    TokenFileCredential(CredentialForm form, std::string path, std::string user)
        : form_(std::move(form)), path_(std::move(path)), user_(std::move(user)) {}

    Result<std::pair<std::string, Secret>> header(Fiber& fiber) override {
        if (token_.reveal().empty())
            if (auto status = read(fiber); !status) return status.error();
        return make_header(form_, user_, token_.reveal());
    }

    Result<bool> renew(Fiber& fiber) override {
        const Secret before(token_.reveal());
        if (auto status = read(fiber); !status) return status.error();
        return token_.reveal() != before.reveal();
    }

private:
    Status read(Fiber& fiber) {
        auto token = blocking_call(fiber, Clock::now() + file_timeout, [path = path_] { return read_token(path); });
        if (!token) return Error{Errc::temporary, "the server is too busy", {}};
        if (!token->failure.empty())
            return Error{Errc::temporary, "the credential for the mail server cannot be read", token->failure};
        token_ = Secret(token->token);
        Secret::wipe(token->token);
        return {};
    }

    CredentialForm form_;
    std::string path_;
    std::string user_;
    Secret token_;
};

class TokenCredential final : public Credential {
public:
    TokenCredential(CredentialForm form, std::string user, std::shared_ptr<TokenSource> tokens,
                    std::function<Deadline()> clock)
        : form_(std::move(form)), user_(std::move(user)), tokens_(std::move(tokens)), clock_(std::move(clock)) {}

    Result<std::pair<std::string, Secret>> header(Fiber& fiber) override {
        if (!asked_ || clock_() >= *asked_ + token_serves) {
            auto token = tokens_->token(fiber);
            if (!token) return token.error();
            if (token->reveal().empty() || has_controls(token->reveal()))
                return Error{Errc::permanent, "the access token cannot be used", "empty, or with control characters"};
            used_ = std::move(*token);
            asked_ = clock_();
        }
        return make_header(form_, user_, used_.reveal());
    }

    Result<bool> renew(Fiber& fiber) override {
        asked_.reset();
        const Secret refused(used_.reveal());  // another fiber's header() may replace it meanwhile
        return tokens_->renew(fiber, refused);
    }

private:
    CredentialForm form_;
    std::string user_;
    std::shared_ptr<TokenSource> tokens_;
    std::function<Deadline()> clock_;
    Secret used_;
    std::optional<Deadline> asked_;  // when the source gave `used_`; nothing: it is to be asked
};

Status check_basic_user(const CredentialForm& form, const std::string& user) {
    if (form.kind == CredentialForm::Kind::basic && (has_controls(user) || user.find(':') != std::string::npos))
        return Error{Errc::auth, "wrong user name or password", "a user name that HTTP Basic cannot carry"};
    return {};
}

}  // namespace

std::string basic_authorization(const std::string& user, const std::string& password) {
    auto plain = user + ":" + password;
    std::string encoded(4 * ((plain.size() + 2) / 3) + 1, '\0');
    const int length =
        EVP_EncodeBlock(reinterpret_cast<unsigned char*>(encoded.data()),
                        reinterpret_cast<const unsigned char*>(plain.data()), static_cast<int>(plain.size()));
    encoded.resize(static_cast<std::size_t>(length));
    auto value = "Basic " + encoded;
    Secret::wipe(plain);
    Secret::wipe(encoded);
    return value;
}

Result<CredentialForm> CredentialForm::parse(std::string_view text) {
    CredentialForm form;
    constexpr std::string_view header = "header ";
    if (text == "basic") return form;
    if (text == "none") {
        form.kind = Kind::none;
        return form;
    }
    if (text == "bearer") {
        form.kind = Kind::bearer;
        return form;
    }
    const auto name = text.starts_with(header) ? text.substr(header.size()) : std::string_view();
    const auto is_token = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    };
    if (name.empty() || !std::ranges::all_of(name, is_token))
        return Error{Errc::permanent,
                     "\"" + std::string(text) + R"(" is none of "basic", "bearer", "header NAME" and "none")",
                     {}};
    form.kind = Kind::header;
    form.header_name = name;
    return form;
}

bool carries_password(const CredentialForm& form, std::string_view token_file) {
    return token_file.empty() && form.kind != CredentialForm::Kind::none;
}

std::string mailbox_owner(const CredentialForm& form, std::string_view token_file, std::string_view mailbox,
                          const std::string& user) {
    if (!mailbox.empty()) {
        auto name = expand_user_path(mailbox, user);
        return name ? *name : user;
    }
    if (carries_password(form, token_file)) return user;
    // Basic has the user's name in it, whatever the file says.
    const bool names_user = form.kind == CredentialForm::Kind::basic || token_file.find('%') != std::string_view::npos;
    return names_user && form.kind != CredentialForm::Kind::none ? user : std::string();
}

Result<std::unique_ptr<Credential>> make_credential(const CredentialForm& form, std::string_view token_file,
                                                    const UpstreamLogin& login, std::function<Deadline()> clock) {
    if (auto status = check_basic_user(form, login.user); !status) return status.error();
    if (!token_file.empty()) {
        auto path = expand_user_path(token_file, login.user);
        if (!path) return path.error();
        return std::unique_ptr<Credential>(std::make_unique<TokenFileCredential>(form, std::move(*path), login.user));
    }
    if (login.tokens) {
        // Whatever the password would have gone in: a token is none.
        auto carried = form;
        if (form.kind == CredentialForm::Kind::basic) carried.kind = CredentialForm::Kind::bearer;
        return std::unique_ptr<Credential>(
            std::make_unique<TokenCredential>(carried, login.user, login.tokens, std::move(clock)));
    }
    const bool goes_alone = form.kind == CredentialForm::Kind::bearer || form.kind == CredentialForm::Kind::header;
    if (has_controls(login.password.reveal()) || (goes_alone && login.password.reveal().empty()))
        return Error{Errc::auth, "wrong user name or password", "a password that no HTTP header can carry"};
    return std::unique_ptr<Credential>(std::make_unique<PasswordCredential>(form, login.user, login.password));
}

}  // namespace popgate::http
