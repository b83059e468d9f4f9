// What lies in a sealed record: written by a popgate, but perhaps by another version, or by nobody.
#include "gateway/accounts/account_records.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace popgate;
    const auto packed = test::as_text(data, size);
    if (const auto account = unpack_account(packed)) {
        const auto again = unpack_account(pack_account(*account).reveal());
        FUZZ_CHECK(again && again->upstream_user == account->upstream_user);
        FUZZ_CHECK(again->app_passwords.size() == account->app_passwords.size());
        FUZZ_CHECK(again->upstream_password.reveal() == account->upstream_password.reveal());
    }
    if (const auto tokens = unpack_tokens(packed)) {
        const auto again = unpack_tokens(pack_tokens(*tokens).reveal());
        FUZZ_CHECK(again && again->refresh_token.reveal() == tokens->refresh_token.reveal());
        FUZZ_CHECK(again->expires == tokens->expires && again->refusal == tokens->refusal);
    }
    return 0;
}
