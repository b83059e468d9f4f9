// A file's name as other programs may give it.
#include "backends/maildir/maildir_files.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"

#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace popgate;
    const std::string name(test::as_text(data, size));
    const auto base = maildir::base_name(name);
    FUZZ_CHECK(name.starts_with(base));
    FUZZ_CHECK(maildir::base_name(base) == base);
    (void)maildir::delivery_time(base);

    const auto suffix = name.substr(base.size());
    const auto seen = maildir::with_seen(suffix);
    FUZZ_CHECK(maildir::with_seen(seen) == seen);
    FUZZ_CHECK(seen == suffix || seen.size() == suffix.size() + 1 || suffix.empty());
    return 0;
}
