#pragma once

#include "gateway/net/fiber.hpp"

#include <array>
#include <functional>
#include <mutex>
#include <optional>

typedef struct ssl_ctx_st SSL_CTX;

namespace popgate {

/// The keys of session tickets (RFC 5077, RFC 8446 §4.6.1), for all listeners and for as long as the process lives:
/// clients resume after a reload. A key makes tickets for 12 hours and is accepted for 12 more: whoever steals one can
/// read the TLS 1.2 traffic of a day. Any thread may call any function.
class TicketKeys {
public:
    using Now = std::function<Clock::time_point()>;
    explicit TicketKeys(Now now = Clock::now) : now_(std::move(now)) {}
    ~TicketKeys();
    TicketKeys(const TicketKeys&) = delete;
    TicketKeys& operator=(const TicketKeys&) = delete;

    static constexpr std::chrono::hours lifetime{12};  ///< as the one that makes tickets

    using Name = std::array<unsigned char, 16>;
    struct Key {
        Name name;
        std::array<unsigned char, 32> cipher;  ///< AES-256-CBC
        std::array<unsigned char, 32> mac;     ///< HMAC-SHA-256
        Clock::time_point since;
    };

    /// The one that tickets are made with; none when there are no random numbers.
    std::optional<Key> current();
    /// The one with this name, if tickets of it are still accepted; one that is not current() is to be renewed.
    std::optional<Key> find(const Name& name);

private:
    void rotate();

    Now now_;
    std::mutex mutex_;
    std::optional<Key> current_;
    std::optional<Key> previous_;
};

}  // namespace popgate
