#pragma once

#include "backends/upstream_login.hpp"
#include "gateway/commands/mailbox_commands.hpp"
#include "gateway/commands/output.hpp"
#include "gateway/commands/pop3_client.hpp"
#include "gateway/net/fiber.hpp"

#include <string>

namespace popgate {
class Backend;
}

namespace popgate::commands {

struct ImportRequest {
    NamedMailbox mailbox;
    std::string from;  ///< the old server's URL, for the report
    Pop3Server old_server;
    std::string old_user;
    Secret old_password;
    UpstreamLogin new_login;  ///< for the mailbox behind popgate
    bool dry_run = false;
};

/// Gives the unique-ids of the old server to the messages of the mailbox that are the same, in one durable step, and
/// reports what was found. exit_done: every message of the old server was found; exit_incomplete: not every one, the
/// others are written; exit_failed: nothing is written.
int import_unique_ids(Fiber& fiber, StateStore& store, const Backend& backend, const ImportRequest& request,
                      Console& console);

}  // namespace popgate::commands
