#include "backends/imap/kept_connections.hpp"

#include "gateway/net/standby.hpp"

#include <openssl/crypto.h>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <iterator>
#include <new>
#include <utility>

namespace popgate::imap {

namespace {

// One that its server has closed, or whose route is gone, holds a descriptor and a slot no longer than this.
constexpr std::chrono::seconds look_over_every{1};
constexpr std::size_t most_kept = 256;

bool is_same(const ImapConnection::Owner& a, const ImapConnection::Owner& b) {
    return a.account == b.account && a.user == b.user && a.authentication_user == b.authentication_user &&
           !a.credential.empty() && a.credential.size() == b.credential.size() &&
           CRYPTO_memcmp(a.credential.data(), b.credential.data(), a.credential.size()) == 0;
}

}  // namespace

boost::asio::execution_context::id KeptConnections::id;

KeptConnections& KeptConnections::of(boost::asio::io_context& context) {
    return boost::asio::use_service<KeptConnections>(context);
}

KeptConnections::Place KeptConnections::find(const ImapSettings& settings, const std::string& account) {
    return std::ranges::find_if(kept_, [&](const Kept& each) {
        return each.settings.lock().get() == &settings && each.connection->owner().account == account;
    });
}

std::unique_ptr<ImapConnection> KeptConnections::take(Fiber& fiber, const ImapSettings& settings,
                                                      const ImapConnection::Owner& owner) {
    const auto place = find(settings, owner.account);
    if (place == kept_.end() || Clock::now() >= place->until || !is_same(place->connection->owner(), owner))
        return nullptr;
    auto connection = std::move(place->connection);
    kept_.erase(place);
    connection->slot().withdraw();
    if (!connection->is_quiet()) return nullptr;  // closed by the server, or speaking out of turn
    connection->hand_to(fiber);
    return connection;
}

std::unique_ptr<ImapConnection> KeptConnections::keep(std::unique_ptr<ImapConnection> connection,
                                                      const std::shared_ptr<const ImapSettings>& settings) {
    auto& context = static_cast<boost::asio::io_context&>(this->context());
    const auto& owner = connection->owner();
    const auto until = owner.proved_at + settings->reuse_upstream;
    auto& standby = Standby::of(context);
    if (!standby.is_on() || Clock::now() >= until) return connection;
    if (const auto other = find(*settings, owner.account); other != kept_.end()) {
        if (other->until >= until) return connection;
        dismiss(other);
    }
    const auto number = ++last_number_;
    const bool is_offered = connection->slot().offer(context, [this, number] {
        const auto wanted = std::ranges::find(kept_, number, &Kept::number);
        if (wanted != kept_.end()) dismiss(wanted);
    });
    if (!is_offered) return connection;
    if (!std::exchange(is_holder_, true)) standby.add_holder([this] { dismiss_all(); });
    if (kept_.size() >= most_kept) dismiss(std::ranges::min_element(kept_, {}, &Kept::until));
    kept_.push_back({number, std::move(connection), settings, until});
    look_again();
    return nullptr;
}

void KeptConnections::let_go(const ImapSettings& settings, const std::string& account) {
    if (const auto place = find(settings, account); place != kept_.end()) dismiss(place);
}

void KeptConnections::dismiss(Place place) {
    const std::shared_ptr<ImapConnection> connection = std::move(place->connection);
    kept_.erase(place);
    connection->slot() = {};
    if (!connection->is_quiet()) return;
    try {
        Fiber::start(
            static_cast<boost::asio::io_context&>(context()),
            [connection](Fiber& fiber) {
                connection->hand_to(fiber);
                connection->close();
            },
            [](const std::exception&) {});
    } catch (const std::bad_alloc&) {
        // Without memory it is closed without a word.
    }
}

void KeptConnections::dismiss_all() {
    while (!kept_.empty()) dismiss(std::prev(kept_.end()));
    if (timer_) timer_->cancel();
}

void KeptConnections::look_again() {
    if (is_ticking_ || kept_.empty()) return;
    is_ticking_ = true;
    if (!timer_) timer_.emplace(static_cast<boost::asio::io_context&>(context()));
    const auto next = std::ranges::min_element(kept_, {}, &Kept::until)->until;
    timer_->expires_at(std::min(next, Clock::now() + look_over_every));
    timer_->async_wait([this](const boost::system::error_code& error) {
        is_ticking_ = false;
        if (!error) look_over();
        look_again();
    });
}

void KeptConnections::look_over() {
    const auto now = Clock::now();
    const auto is_over = [&](const Kept& each) {
        return now >= each.until || each.settings.expired() || !each.connection->is_quiet();
    };
    for (auto place = std::ranges::find_if(kept_, is_over); place != kept_.end();
         place = std::ranges::find_if(kept_, is_over))
        dismiss(place);
}

void KeptConnections::shutdown() noexcept {
    kept_.clear();
    timer_.reset();
}

}  // namespace popgate::imap
