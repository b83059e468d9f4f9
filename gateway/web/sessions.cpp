#include "gateway/web/sessions.hpp"

#include <boost/asio/ip/address.hpp>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <stdexcept>

namespace popgate::web {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t most_pending = 1000;
constexpr std::size_t most_sessions = 10'000;
constexpr std::size_t most_addresses = 10'000;
constexpr auto pending_lifetime = 10min;
constexpr auto idle_lifetime = 30min;
constexpr auto session_lifetime = 12h;
constexpr auto rate_window = 10min;
constexpr unsigned sign_ins_a_window = 60;  // an office may have one address
constexpr std::size_t key_size = 32;

std::string to_hex(const unsigned char* octets, std::size_t count) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (std::size_t i = 0; i < count; ++i) (text += digits[octets[i] >> 4]) += digits[octets[i] & 15];
    return text;
}

bool same(std::string_view a, std::string_view b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

/// Makes room for one more: what is over first, else the oldest.
template <class Map, class Over, class When>
void make_room(Map& map, std::size_t most, Over over, When when) {
    if (map.size() < most) return;
    std::erase_if(map, [&](const auto& each) { return over(each.second); });
    if (map.size() < most) return;
    map.erase(std::min_element(map.begin(), map.end(),
                               [&](const auto& a, const auto& b) { return when(a.second) < when(b.second); }));
}

std::string group_of(const std::string& address) {
    boost::system::error_code error;
    const auto parsed = boost::asio::ip::make_address(address, error);
    if (error || !parsed.is_v6() || parsed.to_v6().is_v4_mapped()) return address;
    const auto octets = parsed.to_v6().to_bytes();
    return to_hex(octets.data(), 8);
}

}  // namespace

std::string random_token() {
    std::array<unsigned char, key_size> octets;
    if (RAND_bytes(octets.data(), octets.size()) != 1) throw std::runtime_error("no random octets");
    return to_hex(octets.data(), octets.size());
}

FormTokens::FormTokens() : key_(random_token()) {}

std::string FormTokens::make(std::string_view cookie) const {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned length = 0;
    const auto* text = reinterpret_cast<const unsigned char*>(cookie.data());
    if (!HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()), text, cookie.size(), digest.data(), &length))
        throw std::runtime_error("no HMAC");
    return to_hex(digest.data(), length);
}

bool FormTokens::is_good(std::string_view cookie, std::string_view token) const {
    return !cookie.empty() && same(make(cookie), token);
}

void PendingSignIns::add(Pending pending, Clock::time_point now) {
    make_room(
        pending_, most_pending, [&](const Entry& entry) { return now - entry.begun > pending_lifetime; },
        [](const Entry& entry) { return entry.begun; });
    auto state = pending.request.state;
    pending_.insert_or_assign(std::move(state), Entry{std::move(pending), now});
}

std::optional<PendingSignIns::Pending> PendingSignIns::take(const std::string& state, std::string_view browser,
                                                            Clock::time_point now) {
    const auto found = pending_.find(state);
    if (found == pending_.end() || browser.empty() || !same(found->second.pending.browser, browser))
        return std::nullopt;
    auto entry = std::move(found->second);
    pending_.erase(found);
    if (now - entry.begun > pending_lifetime) return std::nullopt;
    return std::move(entry.pending);
}

std::string Sessions::begin(std::string user, Clock::time_point now) {
    make_room(
        sessions_, most_sessions,
        [&](const Entry& entry) { return now - entry.used > idle_lifetime || now - entry.begun > session_lifetime; },
        [](const Entry& entry) { return entry.used; });
    auto id = random_token();
    sessions_.emplace(id, Entry{Session{std::move(user)}, now, now});
    return id;
}

Sessions::Session* Sessions::find(std::string_view id, Clock::time_point now) {
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) return nullptr;
    auto& entry = found->second;
    if (now - entry.used > idle_lifetime || now - entry.begun > session_lifetime) {
        sessions_.erase(found);
        return nullptr;
    }
    entry.used = now;
    return &entry.session;
}

void Sessions::end(std::string_view id) {
    const auto found = sessions_.find(id);
    if (found != sessions_.end()) sessions_.erase(found);
}

bool SignInRate::allow(const std::string& address, Clock::time_point now) {
    const auto group = group_of(address);
    if (!entries_.contains(group))
        make_room(
            entries_, most_addresses, [&](const Entry& entry) { return now - entry.since > rate_window; },
            [](const Entry& entry) { return entry.since; });
    auto& entry = entries_[group];
    if (entry.count == 0 || now - entry.since > rate_window) entry = {0, now};
    return ++entry.count <= sign_ins_a_window;
}

}  // namespace popgate::web
