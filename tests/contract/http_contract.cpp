#include "tests/contract/http_fixture.hpp"

#include <algorithm>

namespace popgate::test {
namespace {

/// A kind of tests/support/http_kinds.py, whose '-' no name of a test may hold.
MailboxKind http_kind(std::string name) {
    auto kind = name;
    std::ranges::replace(kind, '_', '-');
    return {std::move(name), [kind] { return make_http_fixture(kind); }};
}

INSTANTIATE_TEST_SUITE_P(, MailboxContract,
                         testing::Values(http_kind("gmail_fake"), http_kind("graph_fake"), http_kind("jmap_fake"),
                                         http_kind("jmap_cyrus"), http_kind("jmap_cyrus_bearer"),
                                         http_kind("rest_maildev"), http_kind("rest_mailpit_fake"),
                                         http_kind("rest_wildduck_fake")),
                         kind_name);

}  // namespace
}  // namespace popgate::test
