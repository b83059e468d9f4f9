// A whole dialogue. The first octet chooses the listener, the second the pieces; the rest is what a client sends.
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/dialogue.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/fuzz/splitter.hpp"

#include <algorithm>

namespace {

using namespace popgate;

/// RFC 1939 §3 and RFC 2449 §4: a status, at most 512 octets a line, nothing that a terminal would obey.
void check_reply(std::string_view reply) {
    FUZZ_CHECK(reply.starts_with("+OK") || reply.starts_with("-ERR ") || reply.starts_with("+ ") ||
               reply.starts_with('<'));
    FUZZ_CHECK(reply.ends_with("\r\n"));
    while (!reply.empty()) {
        const auto end = reply.find("\r\n");
        FUZZ_CHECK(end != std::string_view::npos && end + 2 <= 512);
        const auto line = reply.substr(0, end);
        FUZZ_CHECK(std::ranges::none_of(line, [](unsigned char c) { return c < 0x20 || c == 0x7F; }));
        reply.remove_prefix(end + 2);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto octets = test::as_text(data, size);
    const auto choice = test::take_octet(octets);
    const auto seed = test::take_octet(octets);
    pop3::Policy policy;
    policy.tls_offered = choice & 1;
    policy.tls_required = choice & 2;
    policy.bad_commands = policy.failed_logins = choice & 8 ? 3 : 1000;
    const bool tls_active = choice & 4;
    policy.tokens = policy.certificates = policy.cram_md5 = choice & 16;
    policy.apop = policy.rpop = choice & 32;
    policy.passwords = !(choice & 64);
    policy.challenge = "<1.2@host>";
    // Behind STLS it matters what came along with it, so there only one octet at a time can be compared.
    const bool may_split = !policy.tls_offered || tls_active;

    test::Dialogue one_by_one(policy, tls_active);
    test::split(octets, seed, 1, [&](std::string_view piece) { one_by_one.feed(piece); });
    for (const auto& reply : one_by_one.replies()) check_reply(reply);
    FUZZ_CHECK(!policy.tls_required || tls_active || !one_by_one.session().logged_in() ||
               one_by_one.transcript().find("<tls>") != std::string::npos);
    if (!may_split) return 0;

    for (const std::size_t longest : {std::size_t{40}, octets.size() + 1}) {
        test::Dialogue dialogue(policy, tls_active);
        test::split(octets, seed, longest, [&](std::string_view piece) { dialogue.feed(piece); });
        FUZZ_CHECK(dialogue.replies() == one_by_one.replies());
        FUZZ_CHECK(dialogue.closed() == one_by_one.closed());
    }
    if (one_by_one.session().logged_in()) {
        const auto& maildrop = one_by_one.session().maildrop();
        std::uint64_t count = 0, octets_left = 0;
        for (std::uint64_t number = 1; number <= maildrop.count(); ++number) {
            if (maildrop.is_marked(number)) continue;
            ++count;
            octets_left += maildrop.message(number).octets;
        }
        FUZZ_CHECK(maildrop.count_left() == count && maildrop.octets_left() == octets_left);
        FUZZ_CHECK(maildrop.marked().size() == maildrop.marked_count());
    }
    return 0;
}
