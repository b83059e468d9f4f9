#pragma once

#include "gateway/net/fiber.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace popgate::commands {

/// The parameters of a redirect, from an address as a browser shows it, or from what stands behind its '?'. Each name
/// counts once. Pure; what it reads comes from strangers.
std::map<std::string, std::string> redirect_parameters(std::string_view address);

/// Waits for the provider's redirect (RFC 8252 §7.3): on a port of 127.0.0.1, and at the same time for its address to
/// be pasted into standard input, as the browser may be on another computer.
class LocalRedirect {
public:
    explicit LocalRedirect(Fiber& fiber);
    ~LocalRedirect();
    LocalRedirect(const LocalRedirect&) = delete;
    LocalRedirect& operator=(const LocalRedirect&) = delete;

    unsigned short port() const;

    /// What came with this `state`: its parameters. Nothing at the deadline, or when interrupted. Others are answered,
    /// and told apart on `complain`.
    std::optional<std::map<std::string, std::string>> wait(const std::string& state, Deadline deadline,
                                                           std::ostream& complain);

private:
    struct Shared;
    Fiber& fiber_;
    std::shared_ptr<Shared> shared_;
};

}  // namespace popgate::commands
