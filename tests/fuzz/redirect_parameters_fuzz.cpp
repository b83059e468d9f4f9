// What a browser brings back from a provider, or a person pastes.
#include "gateway/commands/local_redirect.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace popgate;
    const auto address = test::as_text(data, size);
    std::size_t octets = 0;
    for (const auto& [name, value] : commands::redirect_parameters(address)) octets += name.size() + value.size();
    FUZZ_CHECK(octets <= address.size());
    return 0;
}
