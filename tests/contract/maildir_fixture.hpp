#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace popgate::test {

/// A Maildir as other programs see it.
class MaildirFixture {
public:
    /// Makes the directories unless they are there. `adopt` is called for every file and directory that is made.
    explicit MaildirFixture(std::filesystem::path directory,
                            std::function<void(const std::filesystem::path&)> adopt = {});

    /// Delivers to `new`, each message a second later than the one before.
    void deliver(const std::string& raw);
    /// Oldest first.
    std::vector<std::filesystem::path> files() const;
    bool is_seen(std::size_t index) const;

private:
    void made(const std::filesystem::path& path) const;

    std::filesystem::path directory_;
    std::function<void(const std::filesystem::path&)> adopt_;
    long clock_ = 1'600'000'000;
};

}  // namespace popgate::test
