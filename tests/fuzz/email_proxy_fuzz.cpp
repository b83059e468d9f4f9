// Somebody's configuration of another program: refused by a line, or taken over whole.
#include "gateway/commands/import_email_proxy.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace popgate;
    const auto imported = commands::import_email_proxy(test::as_text(data, size));
    if (!imported) {
        FUZZ_CHECK(!imported.error().text.empty());
        FUZZ_CHECK(imported.error().text.find('\n') == std::string::npos);
        return 0;
    }
    FUZZ_CHECK(!imported->configuration.empty());
    // What is not of this world must not become TOML of another meaning.
    for (const char c : imported->configuration)
        FUZZ_CHECK(c == '\n' || c == '\t' || static_cast<unsigned char>(c) >= 0x20);
    for (const auto& note : imported->notes) FUZZ_CHECK(note.find('\n') == std::string::npos);
    return 0;
}
