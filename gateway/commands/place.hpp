#pragma once

#include "backends/errors.hpp"
#include "gateway/net/fiber.hpp"

#include <chrono>
#include <string>

namespace popgate::commands {

/// Where a backend's mail is, as far as there is a host; else everything is empty.
struct Place {
    std::string host;
    std::string port;
    bool tls = false;

    bool operator==(const Place&) const = default;
};

/// Of a route's backend, or of an http: or https: URL.
Place place_of(const std::string& url);

/// What the system's resolver says of a name.
struct Lookup {
    std::string addresses;  ///< separated by ", "; empty: none
    std::string problem;    ///< then why
    std::chrono::milliseconds took{};
};

/// Suspends, for no longer than `timeout`. A literal address is its own.
Lookup look_up(Fiber& fiber, const std::string& host, std::chrono::milliseconds timeout);

/// With its detail, for an administrator.
std::string in_words(const Error& error);

}  // namespace popgate::commands
