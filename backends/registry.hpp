#pragma once

#include "backends/mailbox.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace popgate {

namespace rest {
struct Description;
}

/// How clear-text IMAP is upgraded.
enum class StartTls { require, none };

/// All that a route says about its upstream. A backend reads what concerns it.
struct BackendOptions {
    std::string url;  ///< imaps://host[:port], imap://…, maildir:/path/%u, jmaps://host, gmail:, graph:, rest:https://…
    StartTls starttls = StartTls::require;
    std::string ca_file;  ///< PEM; trusted instead of the system's authorities when not empty
    bool verify_certificate = true;
    std::string folder = "INBOX";       ///< UTF-8
    std::string unique_ids = "native";  ///< see UniqueIdFormat
    std::string trash_folder;    ///< UTF-8; empty: the one that the store knows as such. mbox: a path as in the URL
    std::string archive_folder;  ///< likewise
    std::string state_name;      ///< in mailbox_key() instead of the URL's place, so that an upstream can be renamed
    std::chrono::milliseconds connect_timeout{30'000};
    std::chrono::milliseconds command_timeout{60'000};  ///< longest silence of the upstream within one command
    std::uint32_t upstream_connections = 0;  ///< imap: only, with one account of it at one time; 0: any number
    /// imap: only; how long after its login a connection may serve further sessions of the account; 0: one alone
    std::chrono::milliseconds reuse_upstream{0};
    std::uint32_t read_ahead = 256 * 1024;  ///< octets that may be got before a client asks for them; 0: none

    // For what is reached over HTTP.
    std::string http_auth;   ///< see http::CredentialForm; empty: what the kind usually wants
    std::string token_file;  ///< holds the credential instead of the client's password; %u as in a path
    std::string http_proxy;  ///< http://[user:password@]host:port
    std::string mailbox;     ///< whose mailbox is opened, if not that of the credential's owner; %u, %n, %d
    /// jmaps: only: where else the server may have the credential sent, as "https://a.example https://b.example".
    std::string trusted_origins;
    std::uint32_t concurrent_requests = 0;              ///< of one account; 0: what the kind usually bears
    std::uint32_t units_per_minute = 0;                 ///< gmail: only, of one account; 0: Google's own figure
    std::shared_ptr<const rest::Description> rest_api;  ///< rest: only

    bool operator==(const BackendOptions&) const = default;
};

/// Builds the backend that `options.url` names; touches neither network nor mailbox, only reads the CA file.
/// The error's text says what is wrong with the options (an unknown kind, a URL without host, …).
Result<std::unique_ptr<Backend>> make_backend(const BackendOptions& options);

}  // namespace popgate
