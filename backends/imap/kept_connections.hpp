#pragma once

#include "backends/imap/imap_connection.hpp"

#include <boost/asio/execution_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace popgate::imap {

/// The connections of one io_context that wait, logged in, for their account's next session; for its thread alone.
/// Nothing is kept where there is no Standby. One goes, with LOGOUT, at its time, at a reload or with its route, when
/// somebody else needs its slot, and when another credential of its account is proved; and without it when the server
/// has closed it.
class KeptConnections final : public boost::asio::execution_context::service {
public:
    static boost::asio::execution_context::id id;
    explicit KeptConnections(boost::asio::execution_context& context) : service(context) {}

    static KeptConnections& of(boost::asio::io_context& context);

    /// One of this route and of this owner, credential and all, whose time is not over and that still seems to be
    /// alive; bound to this fiber. Null when there is none.
    std::unique_ptr<ImapConnection> take(Fiber& fiber, const ImapSettings& settings,
                                         const ImapConnection::Owner& owner);
    /// Gives back what cannot be kept. Of one account it is the one whose login is the latest that stays.
    std::unique_ptr<ImapConnection> keep(std::unique_ptr<ImapConnection> connection,
                                         const std::shared_ptr<const ImapSettings>& settings);
    /// Closes what is kept of an account.
    void let_go(const ImapSettings& settings, const std::string& account);

private:
    struct Kept {
        std::uint64_t number;
        std::unique_ptr<ImapConnection> connection;
        std::weak_ptr<const ImapSettings> settings;
        Clock::time_point until;
    };
    using Place = std::vector<Kept>::iterator;

    void shutdown() noexcept override;
    Place find(const ImapSettings& settings, const std::string& account);
    /// Its LOGOUT is said on a fiber of its own.
    void dismiss(Place place);
    void dismiss_all();
    void look_again();
    void look_over();

    std::vector<Kept> kept_;
    std::uint64_t last_number_ = 0;
    std::optional<boost::asio::steady_timer> timer_;
    bool is_ticking_ = false;
    bool is_holder_ = false;
};

}  // namespace popgate::imap
