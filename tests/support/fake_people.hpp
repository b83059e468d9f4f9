#pragma once

#include "gateway/web/people.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace popgate::test {

/// A provider whose code is the address of whoever signs in. What it answers can be set.
class FakeProvider : public oauth::Provider {
public:
    explicit FakeProvider(std::string authorization_url = "https://login.example/authorize",
                          std::string scopes = "mail")
        : authorization_url_(std::move(authorization_url)), scopes_(std::move(scopes)) {
        settings_.name = "example";
        settings_.provider = "microsoft";
    }

    const oauth::Settings& settings() const override { return settings_; }
    const std::string& scopes() const override { return scopes_; }
    oauth::Answer<oauth::Tokens> refresh(Fiber&, const Secret&) const override { return none(); }
    oauth::Answer<oauth::Tokens> for_application(Fiber&, const std::string&) const override { return none(); }
    oauth::Answer<bool> offers_device_flow(Fiber&) const override { return false; }
    oauth::Answer<oauth::DeviceCode> begin_device_flow(Fiber&) const override { return none(); }
    oauth::Answer<oauth::Tokens> poll_device_flow(Fiber&, const oauth::DeviceCode&) const override { return none(); }

    oauth::Answer<oauth::AuthorizationRequest> begin_browser_flow(Fiber&, const std::string& redirect_uri,
                                                                  const std::string& login_hint) const override {
        if (refusal) return *refusal;
        oauth::AuthorizationRequest request;
        request.state = "state-" + std::to_string(++begun);
        request.nonce = "nonce";
        request.verifier = Secret("verifier");
        request.redirect_uri = redirect_uri;
        request.url = authorization_url_ + "?state=" + request.state + "&redirect_uri=" + redirect_uri;
        hint = login_hint;
        return request;
    }
    oauth::Answer<oauth::Tokens> finish_browser_flow(Fiber&, const oauth::AuthorizationRequest& request,
                                                     const std::string& code) const override {
        if (refusal) return *refusal;
        if (request.verifier.reveal() != "verifier") return none();
        oauth::Tokens tokens;
        tokens.access_token = Secret("token of " + code);
        tokens.refresh_token = Secret("refresh");
        if (tells_identity) tokens.identity = who(code);
        return tokens;
    }
    oauth::Answer<oauth::Identity> identify(Fiber&, const Secret& token) const override {
        return who(token.reveal().substr(std::string_view("token of ").size()));
    }
    oauth::Answer<std::string> issuer(Fiber&) const override { return std::string("https://login.example"); }

    std::optional<oauth::Refusal> refusal;
    bool tells_identity = true;
    bool verified = true;
    std::string subject = "subject-1";
    mutable unsigned begun = 0;
    mutable std::string hint;

private:
    static oauth::Refusal none() { return {oauth::Refusal::Kind::setup, "no such flow", {}, {}, {}}; }
    oauth::Identity who(const std::string& email) const {
        return {"https://login.example", subject, email, verified, "nonce"};
    }

    std::string authorization_url_;
    std::string scopes_;
    oauth::Settings settings_;
};

/// Accounts in memory: everybody at example.com has a mailbox.
class FakePeople : public web::People {
public:
    explicit FakePeople(std::shared_ptr<FakeProvider> by = std::make_shared<FakeProvider>()) : offered(std::move(by)) {}

    std::vector<web::ProviderChoice> choices() const override { return {{"example", "Microsoft"}}; }
    std::shared_ptr<const oauth::Provider> provider(const std::string& name) const override {
        return name == "example" ? offered : nullptr;
    }
    Result<Welcome> welcome(Fiber&, const std::string&, const std::shared_ptr<const oauth::Provider>& by,
                            const oauth::Identity& identity, oauth::Tokens) override {
        if (trouble) return *trouble;
        if (!identity.email.ends_with("@example.com")) return Welcome{Welcome::Outcome::no_mailbox};
        auto& known = subjects[identity.email];
        if (!known.empty() && known != identity.subject) return Welcome{Welcome::Outcome::other_person, identity.email};
        if (identity.email == "refused@example.com") return Welcome{Welcome::Outcome::refused, identity.email};
        if (wanted && by != wanted) return Welcome{Welcome::Outcome::other_scopes, identity.email, wanted};
        known = identity.subject;
        return Welcome{Welcome::Outcome::admitted, identity.email};
    }
    Result<std::vector<AppPassword>> devices(Fiber&, const std::string& user) override {
        if (trouble) return *trouble;
        return kept[user];
    }
    Result<Secret> add_device(Fiber&, const std::string& user, const std::string& label) override {
        if (trouble) return *trouble;
        if (kept[user].size() == 50) return Secret();
        AppPassword made;
        made.id = "id" + std::to_string(++count);
        made.label = label;
        made.created = 1'790'000'000;
        if (count % 2 == 0) {
            made.last_used = 1'790'400'000;
            made.last_address = "192.0.2.17";
        }
        kept[user].push_back(made);
        return Secret("abcd-efgh-jkmn-pqr" + std::to_string(count % 10));
    }
    Status revoke(Fiber&, const std::string& user, const std::string& id) override {
        if (trouble) return *trouble;
        std::erase_if(kept[user], [&](const AppPassword& each) { return id.empty() || each.id == id; });
        return {};
    }

    std::shared_ptr<FakeProvider> offered;
    std::shared_ptr<const oauth::Provider> wanted;  ///< for everybody's route
    std::optional<Error> trouble;
    std::map<std::string, std::string> subjects;
    std::map<std::string, std::vector<AppPassword>> kept;
    unsigned count = 0;
};

}  // namespace popgate::test
