#pragma once

#include "tests/contract/mailbox_contract.hpp"

#include <memory>
#include <string>

namespace popgate::test {

/// A new mailbox at a server of this kind; see tests/support/http_kinds.py. The server runs as long as this process.
std::unique_ptr<MailboxFixture> make_http_fixture(const std::string& kind);

}  // namespace popgate::test
