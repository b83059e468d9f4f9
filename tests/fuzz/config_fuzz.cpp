// A configuration file. Whatever stands in it, the answer is a list of problems.
#include "gateway/config/config.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

namespace {

/// A folder for this process, gone with it.
class Folder {
public:
    Folder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "popgate-fuzz-XXXXXX").string();
        FUZZ_CHECK(::mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    std::filesystem::path file() const { return path_ / "popgate.toml"; }

private:
    std::filesystem::path path_;
};

}  // namespace

// The system's certificate authorities say nothing about the file, and reading them takes a hundred times as long.
extern "C" int LLVMFuzzerInitialize(int*, char***) { return ::setenv("SSL_CERT_FILE", "/dev/null", 1); }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace popgate;
    static const Folder folder;
    const auto text = test::as_text(data, size);
    std::ofstream(folder.file(), std::ios::binary | std::ios::trunc) << text;
    const auto loaded = load_config(folder.file());
    for (const auto& problem : loaded.problems) {
        FUZZ_CHECK(!problem.text.empty());
        // One line of a log or terminal, whatever the file holds.
        FUZZ_CHECK(std::ranges::none_of(problem.to_string(), [](unsigned char c) { return c < 0x20 || c == 0x7F; }));
        FUZZ_CHECK(problem.line <= static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1);
    }
    if (loaded.usable()) FUZZ_CHECK(!loaded.config.listeners.empty() && !loaded.config.routes.empty());
    return 0;
}
