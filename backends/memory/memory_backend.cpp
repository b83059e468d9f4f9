#include "backends/memory/memory_backend.hpp"

#include "gateway/accounts/secret.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <optional>
#include <set>
#include <type_traits>
#include <unordered_map>
#include <utility>

namespace popgate {

namespace {

/// Const or not as the accounts are.
auto* find(auto& accounts, const std::string& user, const std::string& id) {
    using Message = std::remove_reference_t<decltype(accounts.begin()->second.messages.front())>;
    const auto account = accounts.find(user);
    if (account == accounts.end()) return static_cast<Message*>(nullptr);
    auto& messages = account->second.messages;
    const auto found = std::find_if(messages.begin(), messages.end(), [&](const auto& m) { return m.id == id; });
    return found == messages.end() ? nullptr : &*found;
}

}  // namespace

void MemoryStore::set_password(const std::string& user, const std::string& password) {
    const std::lock_guard lock(mutex_);
    auto& account = accounts_[user];
    account.password = password;
    account.may_log_in = true;
}

bool MemoryStore::password_matches(const std::string& user, const std::string& password) const {
    const std::lock_guard lock(mutex_);
    const auto account = accounts_.find(user);
    if (account == accounts_.end() || !account->second.may_log_in) return false;
    const std::string& expected = account->second.password;
    return expected.size() == password.size() && CRYPTO_memcmp(expected.data(), password.data(), password.size()) == 0;
}

std::string MemoryStore::add(const std::string& user, std::string text, std::int64_t arrival) {
    const std::lock_guard lock(mutex_);
    auto id = std::to_string(++last_id_);
    accounts_[user].messages.push_back({id, std::make_shared<const std::string>(std::move(text)), arrival, false});
    return id;
}

bool MemoryStore::remove(const std::string& user, const std::string& id) {
    const std::lock_guard lock(mutex_);
    return std::erase_if(accounts_[user].messages, [&](const Message& message) { return message.id == id; }) > 0;
}

bool MemoryStore::mark_seen(const std::string& user, const std::string& id) {
    const std::lock_guard lock(mutex_);
    Message* message = find(accounts_, user, id);
    if (message) message->seen = true;
    return message != nullptr;
}

bool MemoryStore::move(const std::string& user, const std::string& id, const std::string& folder) {
    const std::lock_guard lock(mutex_);
    const Message* const message = find(accounts_, user, id);
    if (!message) return false;
    auto& account = accounts_[user];
    account.folders[folder].push_back(*message);
    account.messages.erase(account.messages.begin() + (message - account.messages.data()));
    return true;
}

void MemoryStore::set_messages_per_listing(std::size_t count) {
    const std::lock_guard lock(mutex_);
    messages_per_listing_ = count;
}

std::size_t MemoryStore::messages_per_listing() const {
    const std::lock_guard lock(mutex_);
    return messages_per_listing_;
}

std::vector<MemoryStore::Message> MemoryStore::messages(const std::string& user) const {
    const std::lock_guard lock(mutex_);
    const auto account = accounts_.find(user);
    return account == accounts_.end() ? std::vector<Message>{} : account->second.messages;
}

std::vector<MemoryStore::Message> MemoryStore::messages(const std::string& user, const std::string& folder) const {
    const std::lock_guard lock(mutex_);
    const auto account = accounts_.find(user);
    if (account == accounts_.end()) return {};
    const auto found = account->second.folders.find(folder);
    return found == account->second.folders.end() ? std::vector<Message>{} : found->second;
}

std::shared_ptr<const std::string> MemoryStore::text(const std::string& user, const std::string& id) const {
    const std::lock_guard lock(mutex_);
    const Message* message = find(accounts_, user, id);
    return message ? message->text : nullptr;
}

namespace {

constexpr std::size_t block_size = 64 * 1024;
constexpr std::size_t small_block_size = 4 * 1024;

std::uint64_t octets_as_sent(std::string_view text) {
    std::uint64_t octets = text.size();
    for (std::size_t at = 0; (at = text.find('\n', at)) != std::string_view::npos; ++at)
        if (at == 0 || text[at - 1] != '\r') ++octets;
    if (!text.empty() && text.back() != '\n') octets += 2;
    return octets;
}

class MemoryMailbox final : public Mailbox {
public:
    MemoryMailbox(std::shared_ptr<MemoryStore> store, MemoryFolders folders, std::string user)
        : store_(std::move(store)), folders_(std::move(folders)), user_(std::move(user)) {}

    Result<Listing> list(KnownMailbox known) override {
        Listing listing;
        const auto slice = store_->messages_per_listing();
        std::unordered_map<std::string, MessageInfo*> known_by_id;
        if (slice > 0) {
            listing.state = "memory";
            for (auto& each : known.messages) known_by_id.emplace(each.id, &each);
        }
        std::size_t told = 0;
        for (const auto& message : store_->messages(user_)) {
            const auto found = known_by_id.find(message.id);
            if (found != known_by_id.end())
                listing.messages.push_back(*found->second);
            else if (slice > 0 && known.patience.count() > 0 && told++ >= slice)
                ++listing.still_to_come;
            else
                listing.messages.push_back({.id = message.id,
                                            .octets = octets_as_sent(*message.text),
                                            .arrival = message.arrival,
                                            .octets_are_exact = true});
        }
        return listing;
    }

    std::string unique_id(const MessageInfo& message) const override { return message.id; }

    Status fetch(const MessageInfo& message, BodySink& sink) override { return stream(message, sink, block_size); }
    Status fetch_top(const MessageInfo& message, BodySink& sink) override {
        return stream(message, sink, small_block_size);
    }

    RemovalReport remove(const std::vector<MessageInfo>& messages) override {
        RemovalReport report;
        for (const auto& message : messages)
            report.outcomes.push_back(store_->remove(user_, message.id) ? Removal::removed : Removal::gone);
        return report;
    }

    Status mark_seen(const std::vector<MessageInfo>& messages) override {
        for (const auto& message : messages) store_->mark_seen(user_, message.id);
        return {};
    }

    Result<std::vector<bool>> unread(const std::vector<MessageInfo>& messages) override {
        std::set<std::string> unread;
        for (const auto& message : store_->messages(user_))
            if (!message.seen) unread.insert(message.id);
        std::vector<bool> answer;
        for (const auto& message : messages) answer.push_back(unread.contains(message.id));
        return answer;
    }

    RemovalReport move(const std::vector<MessageInfo>& messages, SpecialFolder target) override {
        const auto& folder = target == SpecialFolder::trash ? folders_.trash : folders_.archive;
        if (folder.empty())
            return {std::vector(messages.size(), Removal::failed),
                    Error{Errc::permanent, "there is no such folder", {}}};
        RemovalReport report;
        for (const auto& message : messages)
            report.outcomes.push_back(store_->move(user_, message.id, folder) ? Removal::removed : Removal::gone);
        return report;
    }

    Status keep_alive() override { return {}; }
    void close() override {}

private:
    Status stream(const MessageInfo& message, BodySink& sink, std::size_t piece) const {
        const auto text = store_->text(user_, message.id);
        if (!text) return Error{Errc::gone, "the message is gone", {}};
        for (std::string_view rest = *text; !rest.empty(); rest.remove_prefix(std::min(piece, rest.size())))
            if (!sink.write(rest.substr(0, piece))) return Error{Errc::sink_closed, {}, {}};
        return {};
    }

    std::shared_ptr<MemoryStore> store_;
    MemoryFolders folders_;
    std::string user_;
};

class MemoryBackend final : public Backend {
public:
    MemoryBackend(std::shared_ptr<MemoryStore> store, MemoryFolders folders)
        : store_(std::move(store)), folders_(std::move(folders)) {}

    Result<std::unique_ptr<Mailbox>> open(Fiber&, const UpstreamLogin& login) const override {
        if (!store_->password_matches(login.user, login.password.reveal()))
            return Error{Errc::auth, "wrong user name or password", {}};
        return std::unique_ptr<Mailbox>(std::make_unique<MemoryMailbox>(store_, folders_, login.user));
    }

    std::string mailbox_key(const std::string& user) const override { return "memory:" + user; }
    bool checks_password() const override { return true; }

private:
    std::shared_ptr<MemoryStore> store_;
    MemoryFolders folders_;
};

}  // namespace

std::unique_ptr<Backend> make_memory_backend(std::shared_ptr<MemoryStore> store, MemoryFolders folders) {
    return std::make_unique<MemoryBackend>(std::move(store), std::move(folders));
}

}  // namespace popgate
