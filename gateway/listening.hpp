#pragma once

#include "backends/errors.hpp"
#include "gateway/config/config.hpp"
#include "gateway/net/connection.hpp"
#include "gateway/net/server_certificates.hpp"
#include "gateway/net/tls.hpp"

#include <memory>
#include <string>

namespace popgate {

/// A listener as its sessions see it, put together from a configuration. Reads the client CA file, so it blocks.
/// `address`: as it is bound.
Result<std::shared_ptr<const ListenerInfo>> make_listener_info(const ListenConfig& listen, const Config& config,
                                                               const ServerTls& tls, std::string address);

/// The certificates that a configuration names, the default first; null where it names none. Blocks.
Result<std::shared_ptr<ServerCertificates>> load_certificates(const Config& config);

}  // namespace popgate
