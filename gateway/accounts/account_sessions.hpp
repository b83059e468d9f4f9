#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

namespace popgate {

/// Counts the sessions of each account that are open at one time. Any thread may use it.
class AccountSessions {
public:
    /// One session; counted as long as it lives.
    class Permit {
    public:
        Permit(AccountSessions& sessions, std::string user) : sessions_(sessions), user_(std::move(user)) {}
        Permit(const Permit&) = delete;
        Permit& operator=(const Permit&) = delete;
        ~Permit();

    private:
        AccountSessions& sessions_;
        std::string user_;
    };

    /// Null where the user has `most` already.
    std::unique_ptr<Permit> admit(const std::string& user, std::uint32_t most);

private:
    std::mutex mutex_;
    std::unordered_map<std::string, std::uint32_t> counts_;
};

}  // namespace popgate
