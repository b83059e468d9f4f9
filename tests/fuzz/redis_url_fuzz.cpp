#include "gateway/config/redis_url.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"

#include <algorithm>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace popgate;
    const auto url = test::as_text(data, size);
    const auto address = redis::parse_redis_url(url);
    if (!address) {
        FUZZ_CHECK(!address.error().text.empty() && address.error().detail.empty());
        return 0;
    }
    FUZZ_CHECK(redis::is_redis_url(url));
    FUZZ_CHECK(address->socket.empty() != address->servers.empty());
    FUZZ_CHECK(address->socket.empty() || (address->socket.front() == '/' && address->socket.size() <= 107));
    for (const auto& each : address->servers) FUZZ_CHECK(!each.host.empty() && !each.port.empty());
    FUZZ_CHECK((address->kind == redis::Address::Kind::sentinel) == !address->master.empty());
    FUZZ_CHECK(address->kind != redis::Address::Kind::cluster || address->database == 0);
    FUZZ_CHECK(!address->prefix.empty() && address->prefix.find_first_of(":{}") == std::string::npos);
    return 0;
}
