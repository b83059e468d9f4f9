#pragma once

#include "gateway/accounts/secret.hpp"
#include "gateway/net/fiber.hpp"
#include "gateway/oauth/provider.hpp"

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace popgate::web {

/// 256 bits that nobody can guess, in letters that a cookie and a URL bear.
std::string random_token();

/// Proves that a form was on a page that was given to the holder of this cookie.
class FormTokens {
public:
    FormTokens();
    std::string make(std::string_view cookie) const;
    bool is_good(std::string_view cookie, std::string_view token) const;

private:
    std::string key_;  // of this process: after a restart people load the page again
};

/// Sign-ins that have begun and not come back yet; in memory, bounded, of one thread. Each comes back once, within ten
/// minutes, and to the browser that it began in (RFC 6749 §10.12).
class PendingSignIns {
public:
    struct Pending {
        std::string provider;  ///< Settings::name
        std::shared_ptr<const oauth::Provider> by;
        oauth::AuthorizationRequest request;
        std::string browser;  ///< its cookie
        bool is_second = false;
    };
    void add(Pending pending, Clock::time_point now);
    /// Nothing where there is none of this state for this browser.
    std::optional<Pending> take(const std::string& state, std::string_view browser, Clock::time_point now);
    std::size_t size() const { return pending_.size(); }

private:
    struct Entry {
        Pending pending;
        Clock::time_point begun;
    };
    std::map<std::string, Entry> pending_;  // by state
};

/// Who is signed in; in memory, bounded, of one thread. Ends after 30 minutes without a request, after 12 hours anyway.
class Sessions {
public:
    struct Session {
        std::string user;
        /// Made a moment ago, and to be shown once.
        Secret new_password{};
        std::string new_label{};
    };
    /// The new session's id.
    std::string begin(std::string user, Clock::time_point now);
    /// Null where there is none. Good until the next call, and not across a suspension.
    Session* find(std::string_view id, Clock::time_point now);
    void end(std::string_view id);
    std::size_t size() const { return sessions_.size(); }

private:
    struct Entry {
        Session session;
        Clock::time_point begun;
        Clock::time_point used;
    };
    std::map<std::string, Entry, std::less<>> sessions_;
};

/// How often somebody may begin a sign-in; in memory, bounded, of one thread.
class SignInRate {
public:
    /// False where this address has begun 60 within ten minutes. IPv6 addresses count by their /64.
    bool allow(const std::string& address, Clock::time_point now);

private:
    struct Entry {
        unsigned count = 0;
        Clock::time_point since;
    };
    std::map<std::string, Entry> entries_;
};

}  // namespace popgate::web
