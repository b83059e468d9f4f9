#include "tests/contract/maildir_fixture.hpp"

#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <utility>

namespace popgate::test {

namespace fs = std::filesystem;

MaildirFixture::MaildirFixture(fs::path directory, std::function<void(const fs::path&)> adopt)
    : directory_(std::move(directory)), adopt_(std::move(adopt)) {
    for (const auto& path :
         {directory_.parent_path(), directory_, directory_ / "new", directory_ / "cur", directory_ / "tmp"})
        if (fs::create_directory(path)) made(path);
}

void MaildirFixture::made(const fs::path& path) const {
    if (adopt_) adopt_(path);
}

void MaildirFixture::deliver(const std::string& raw) {
    const auto name = std::to_string(++clock_) + ".M1P1.localhost";
    std::ofstream file(directory_ / "tmp" / name, std::ios::binary);
    file << raw;
    file.close();
    if (!file) throw std::runtime_error("cannot write " + name);
    made(directory_ / "tmp" / name);
    fs::rename(directory_ / "tmp" / name, directory_ / "new" / name);
}

std::vector<fs::path> MaildirFixture::files() const {
    std::vector<fs::path> files;
    for (const auto* folder : {"new", "cur"})
        for (const auto& entry : fs::directory_iterator(directory_ / folder)) files.push_back(entry.path());
    std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.filename() < b.filename(); });
    return files;
}

bool MaildirFixture::is_seen(std::size_t index) const {
    const auto name = files().at(index).filename().string();
    const auto flags = name.find(":2,");
    return flags != std::string::npos && name.find('S', flags) != std::string::npos;
}

}  // namespace popgate::test
