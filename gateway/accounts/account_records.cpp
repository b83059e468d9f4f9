#include "gateway/accounts/account_records.hpp"

#include "gateway/state/packing.hpp"

#include <cstdint>
#include <string>
#include <utility>

namespace popgate {

namespace {

constexpr std::uint8_t account_version = 1;
constexpr std::uint8_t tokens_version = 1;

Secret finish(packing::Writer& writer) {
    auto text = writer.take();
    Secret secret(text);
    Secret::wipe(text);
    return secret;
}

Error unknown() { return {Errc::permanent, "a newer popgate wrote it, or it is damaged", {}}; }

}  // namespace

Secret pack_account(const Account& account) {
    packing::Writer writer;
    writer.octet(account_version);
    writer.signed_number(account.created);
    writer.text(account.upstream_user);
    writer.text(account.upstream_password.reveal());
    writer.text(account.shared_secret.reveal());
    writer.text(account.issuer);
    writer.text(account.subject);
    writer.number(account.app_passwords.size());
    for (const auto& each : account.app_passwords) {
        writer.text(each.id);
        writer.text(each.label);
        writer.text(each.salt);
        writer.text(each.digest);
        writer.signed_number(each.created);
        writer.signed_number(each.last_used);
        writer.text(each.last_address);
    }
    return finish(writer);
}

Result<Account> unpack_account(std::string_view packed) {
    packing::Reader reader(packed);
    if (reader.octet() != account_version) return unknown();
    Account account;
    account.created = reader.signed_number();
    account.upstream_user = reader.text();
    account.upstream_password = Secret(reader.text());
    account.shared_secret = Secret(reader.text());
    account.issuer = reader.text();
    account.subject = reader.text();
    for (auto left = reader.number(); left > 0 && reader.ok(); --left) {
        AppPassword each;
        each.id = reader.text();
        each.label = reader.text();
        each.salt = reader.text();
        each.digest = reader.text();
        each.created = reader.signed_number();
        each.last_used = reader.signed_number();
        each.last_address = reader.text();
        if (reader.ok()) account.app_passwords.push_back(std::move(each));
    }
    if (!reader.ok() || !reader.at_end()) return unknown();
    return account;
}

Secret pack_tokens(const AccountTokens& tokens) {
    packing::Writer writer;
    writer.octet(tokens_version);
    writer.text(tokens.provider);
    writer.text(tokens.refresh_token.reveal());
    writer.text(tokens.access_token.reveal());
    writer.signed_number(tokens.expires);
    writer.signed_number(tokens.refreshed);
    writer.text(tokens.scope);
    writer.text(tokens.refusal);
    writer.signed_number(tokens.refused);
    return finish(writer);
}

Result<AccountTokens> unpack_tokens(std::string_view packed) {
    packing::Reader reader(packed);
    if (reader.octet() != tokens_version) return unknown();
    AccountTokens tokens;
    tokens.provider = reader.text();
    tokens.refresh_token = Secret(reader.text());
    tokens.access_token = Secret(reader.text());
    tokens.expires = reader.signed_number();
    tokens.refreshed = reader.signed_number();
    tokens.scope = reader.text();
    tokens.refusal = reader.text();
    tokens.refused = reader.signed_number();
    if (!reader.ok() || !reader.at_end()) return unknown();
    return tokens;
}

}  // namespace popgate
