// The file of keys, and a sealed record: one line of the input says which octet of a good record is changed, the next
// ones are the file.
#include "gateway/accounts/vault.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"

#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace popgate;
    static const auto path = std::filesystem::temp_directory_path() / ("vault-fuzz-" + std::to_string(::getpid()));
    auto text = test::as_text(data, size);
    const auto where = test::take_octet(text);
    const auto change = test::take_octet(text);
    std::ofstream(path) << text;
    Vault vault(path);
    const auto raw = vault.open("place", text);
    FUZZ_CHECK(!raw && raw.error().text.find('\n') == std::string::npos);
    if (const auto sealed = vault.seal("place", Secret("content"))) {
        const auto opened = vault.open("place", *sealed);
        FUZZ_CHECK(opened && opened->reveal() == "content");
        FUZZ_CHECK(!vault.open("elsewhere", *sealed));
        auto changed = *sealed;
        changed[where % changed.size()] = static_cast<char>(changed[where % changed.size()] ^ (change | 1));
        FUZZ_CHECK(!vault.open("place", changed));
        FUZZ_CHECK(!vault.open("place", std::string_view(*sealed).substr(0, where % sealed->size())));
    }
    std::filesystem::remove(path);
    return 0;
}
