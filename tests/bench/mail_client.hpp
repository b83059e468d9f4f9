#pragma once

#include "tests/bench/wire.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace popgate::bench {

/// What passed.
struct Amount {
    std::uint64_t messages = 0;
    std::uint64_t octets = 0;
};

/// One session of a mail program with a server; throws std::runtime_error when the server says no, or what it should
/// not say.
class MailClient {
public:
    explicit MailClient(std::unique_ptr<Wire> wire) : wire_(std::move(wire)) {}
    virtual ~MailClient() = default;
    MailClient(const MailClient&) = delete;
    MailClient& operator=(const MailClient&) = delete;

    /// Logs in and opens the mailbox.
    virtual void log_in(const std::string& user, const std::string& password) = 0;

    /// How many messages there are, and of what size, where the protocol tells that at once; else octets are 0.
    virtual Amount stat() = 0;

    /// Learns as much as a POP3 server must know to answer STAT; gives the number of messages.
    virtual std::uint64_t open_listing() = 0;

    /// Learns every message's unique-id, over IMAP its size as well, and gives how many there are.
    virtual std::uint64_t list() = 0;

    /// Retrieves messages 1 to `last`; `window` requests are under way at any time, 0 means all in one request (IMAP)
    /// or as many as there are (POP3).
    virtual Amount retrieve(std::uint64_t last, std::uint64_t window) = 0;

    /// Asks for message 1 and comes back with its first octet there, after so many milliseconds.
    virtual double begin_first() = 0;

    /// The rest of it; gives its octets.
    virtual std::uint64_t finish_first() = 0;

    /// Retrieves and deletes messages 1 to `last`, each before the next.
    virtual Amount take(std::uint64_t last) = 0;

    virtual void noop() = 0;
    virtual void quit() = 0;

protected:
    std::unique_ptr<Wire> wire_;
};

std::unique_ptr<MailClient> make_pop3_client(std::unique_ptr<Wire> wire);
std::unique_ptr<MailClient> make_imap_client(std::unique_ptr<Wire> wire);

}  // namespace popgate::bench
