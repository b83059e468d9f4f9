#include "gateway/accounts/account_store.hpp"

#include "gateway/accounts/account_records.hpp"
#include "gateway/accounts/vault.hpp"
#include "gateway/net/blocking_call.hpp"
#include "gateway/observe/log.hpp"
#include "gateway/state/state_store.hpp"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace popgate {

namespace {

using namespace std::chrono_literals;

constexpr auto vault_limit = 30s;  // a look at the key file
constexpr int most_attempts = 50;  // to write a record that others write too

template <class Record>
struct Kind;
template <>
struct Kind<Account> {
    static constexpr const char* name = "account";
    static constexpr auto pack = pack_account;
    static constexpr auto unpack = unpack_account;
};
template <>
struct Kind<AccountTokens> {
    static constexpr const char* name = "tokens";
    static constexpr auto pack = pack_tokens;
    static constexpr auto unpack = unpack_tokens;
};

std::string place_of(const std::string& kind, const std::string& user) { return kind + '/' + user; }

template <class Answer>
Answer or_busy(std::optional<std::optional<Answer>> answer) {
    if (answer && *answer) return std::move(**answer);
    return Error{Errc::temporary, "the server is too busy", "key file: too slow, or interrupted"};
}

Result<Secret> open_on_pool(Fiber& fiber, Vault& vault, std::string place, std::string octets) {
    return or_busy(blocking_call(
        fiber, Clock::now() + vault_limit,
        [&vault, place = std::move(place), octets = std::move(octets)] {
            return std::make_optional(vault.open(place, octets));
        },
        Blocking::state));
}

Result<std::string> seal_on_pool(Fiber& fiber, Vault& vault, std::string place, const Secret& plain,
                                 bool may_make_key) {
    // The work may outlive this call, so it has a copy; the last one to go wipes it.
    auto copy = std::make_shared<const Secret>(plain.reveal());
    return or_busy(blocking_call(
        fiber, Clock::now() + vault_limit,
        [&vault, place = std::move(place), copy, may_make_key]() -> std::optional<Result<std::string>> {
            if (may_make_key && !vault.exists())
                if (auto made = vault.create(); !made && !vault.exists()) return Result<std::string>(made.error());
            return vault.seal(place, *copy);
        },
        Blocking::state));
}

Error unreadable(const std::string& kind, const std::string& user, const Error& why) {
    const auto what = kind == Kind<Account>::name ? "the account of " : "the tokens of ";
    log(LogLevel::error, "record_unreadable", {{"user", user}, {"kind", kind}, {"error", why.text}});
    return {why.code, "what popgate keeps of this account cannot be read", what + user + ": " + why.text};
}

template <class Record>
struct Loaded {
    std::optional<Record> record;
    std::uint64_t revision = 0;
};

template <class Record>
Result<Loaded<Record>> load(Fiber& fiber, StateStore& store, Vault& vault, const std::string& user) {
    const std::string kind = Kind<Record>::name;
    auto stored = store.record(fiber, kind, user);
    if (!stored) return stored.error();
    if (stored->revision == 0) return Loaded<Record>{};
    auto plain = open_on_pool(fiber, vault, place_of(kind, user), std::move(stored->octets));
    if (!plain) return unreadable(kind, user, plain.error());
    auto record = Kind<Record>::unpack(plain->reveal());
    if (!record) return unreadable(kind, user, record.error());
    return Loaded<Record>{std::move(*record), stored->revision};
}

/// A key is only made where nothing is sealed yet: a key file that has gone is no reason for another one.
Result<bool> is_empty(Fiber& fiber, StateStore& store) {
    for (const auto* kind : {Kind<Account>::name, Kind<AccountTokens>::name}) {
        const auto names = store.record_names(fiber, kind);
        if (!names) return names.error();
        if (!names->empty()) return false;
    }
    return true;
}

template <class Record>
Status change(Fiber& fiber, StateStore& store, Vault& vault, const std::string& user,
              const std::function<bool(Record&)>& change_it) {
    const std::string kind = Kind<Record>::name;
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        auto loaded = load<Record>(fiber, store, vault, user);
        if (!loaded) return loaded.error();
        Record record = loaded->record ? std::move(*loaded->record) : Record{};
        if (!change_it(record)) return {};
        const auto first_of_all = loaded->revision == 0 ? is_empty(fiber, store) : Result<bool>(false);
        if (!first_of_all) return first_of_all.error();
        auto sealed = seal_on_pool(fiber, vault, place_of(kind, user), Kind<Record>::pack(record), *first_of_all);
        if (!sealed) return sealed.error();
        const auto kept = store.keep_record(fiber, kind, user, *sealed, loaded->revision);
        if (!kept) return kept.error();
        if (*kept) return {};
    }
    return Error{Errc::temporary, "the account is being changed by others", user};
}

std::string digest_of(const std::string& salt, std::string password) {
    auto text = salt + password;
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
    Secret::wipe(text);
    Secret::wipe(password);
    return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

// 32 of them, so that five random bits choose one without bias; none looks like another.
constexpr std::string_view letters = "abcdefghijkmnpqrstuvwxyz23456789";
static_assert(letters.size() == 32);

std::string random_letters(std::size_t count) {
    std::string text(count, '\0');
    if (RAND_bytes(reinterpret_cast<unsigned char*>(text.data()), static_cast<int>(count)) != 1)
        throw std::runtime_error("no random numbers");
    for (char& c : text) c = letters[static_cast<unsigned char>(c) % letters.size()];
    return text;
}

/// As it was made: people type it with spaces, hyphens and capitals.
std::string plain_form(const Secret& password) {
    std::string plain;
    plain.reserve(password.reveal().size());
    for (const char c : password.reveal())
        if (c != '-' && c != ' ') plain += c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    return plain;
}

}  // namespace

Result<std::optional<Account>> AccountStore::account(Fiber& fiber, const std::string& user) const {
    auto loaded = load<Account>(fiber, store_, vault_, user);
    if (!loaded) return loaded.error();
    return std::move(loaded->record);
}

Result<std::optional<AccountTokens>> AccountStore::tokens(Fiber& fiber, const std::string& user) const {
    auto loaded = load<AccountTokens>(fiber, store_, vault_, user);
    if (!loaded) return loaded.error();
    return std::move(loaded->record);
}

Status AccountStore::change_account(Fiber& fiber, const std::string& user,
                                    const std::function<bool(Account&)>& change_it) {
    return change<Account>(fiber, store_, vault_, user, change_it);
}

Status AccountStore::change_tokens(Fiber& fiber, const std::string& user,
                                   const std::function<bool(AccountTokens&)>& change_it) {
    return change<AccountTokens>(fiber, store_, vault_, user, change_it);
}

Result<bool> AccountStore::remove(Fiber& fiber, const std::string& user) {
    bool was_there = false;
    for (const auto* kind : {Kind<Account>::name, Kind<AccountTokens>::name}) {
        const auto erased = store_.erase_record(fiber, kind, user);
        if (!erased) return erased.error();
        was_there = was_there || *erased;
    }
    return was_there;
}

Result<std::vector<std::string>> AccountStore::users(Fiber& fiber) const {
    std::vector<std::string> users;
    for (const auto* kind : {Kind<Account>::name, Kind<AccountTokens>::name}) {
        auto names = store_.record_names(fiber, kind);
        if (!names) return names.error();
        users.insert(users.end(), names->begin(), names->end());
    }
    std::ranges::sort(users);
    users.erase(std::unique(users.begin(), users.end()), users.end());
    return users;
}

Result<std::size_t> AccountStore::seal_anew(Fiber& fiber) {
    std::size_t done = 0;
    std::string failed;
    for (const std::string kind : {Kind<Account>::name, Kind<AccountTokens>::name}) {
        const auto names = store_.record_names(fiber, kind);
        if (!names) return names.error();
        for (const auto& user : *names) {
            for (int attempt = 0;; ++attempt) {
                const auto stored = store_.record(fiber, kind, user);
                if (!stored) return stored.error();
                if (stored->revision == 0) break;
                const auto plain = open_on_pool(fiber, vault_, place_of(kind, user), stored->octets);
                if (!plain) {
                    failed += (failed.empty() ? "" : ", ") + kind + " of " + user + ": " + plain.error().text;
                    break;
                }
                const auto sealed = seal_on_pool(fiber, vault_, place_of(kind, user), *plain, false);
                if (!sealed) return sealed.error();
                const auto kept = store_.keep_record(fiber, kind, user, *sealed, stored->revision);
                if (!kept) return kept.error();
                if (*kept) ++done;
                if (*kept || attempt == most_attempts) break;
            }
        }
    }
    if (!failed.empty()) return Error{Errc::permanent, "some records cannot be read: " + failed, {}};
    return done;
}

const std::vector<std::string>& record_kinds() {
    static const std::vector<std::string> kinds{Kind<Account>::name, Kind<AccountTokens>::name};
    return kinds;
}

NewAppPassword make_app_password(std::string label, std::int64_t now) {
    NewAppPassword made;
    auto text = random_letters(16);
    made.kept.id = random_letters(8);
    made.kept.label = std::move(label);
    made.kept.salt = random_letters(16);
    made.kept.digest = digest_of(made.kept.salt, text);
    made.kept.created = now;
    auto shown = text.substr(0, 4) + '-' + text.substr(4, 4) + '-' + text.substr(8, 4) + '-' + text.substr(12);
    made.password = Secret(shown);
    Secret::wipe(shown);
    Secret::wipe(text);
    return made;
}

const AppPassword* find_app_password(const Account* account, const Secret& password) {
    auto plain = plain_form(password);
    const AppPassword* found = nullptr;
    // Who has none is tried against one that cannot be right.
    static const AppPassword nobody{"", "", "saltsaltsaltsalt", std::string(SHA256_DIGEST_LENGTH, '\0'), 0};
    const auto compare = [&](const AppPassword& each) {
        const auto digest = digest_of(each.salt, plain);
        return digest.size() == each.digest.size() &&
               CRYPTO_memcmp(digest.data(), each.digest.data(), digest.size()) == 0;
    };
    if (!account || account->app_passwords.empty()) (void)compare(nobody);
    if (account)
        for (const auto& each : account->app_passwords)
            if (compare(each)) found = &each;
    Secret::wipe(plain);
    return found;
}

}  // namespace popgate
