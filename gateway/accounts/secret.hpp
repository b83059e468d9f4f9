#pragma once

#include <string>
#include <string_view>

namespace popgate {

/// A password. Wiped when it goes, and printed by nothing: it has no stream operator, and the text is only to be had
/// by asking for it by name.
class Secret {
public:
    Secret() = default;
    explicit Secret(std::string_view text) : text_(text) {}
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    Secret(Secret&& other) noexcept;
    Secret& operator=(Secret&& other) noexcept;
    ~Secret() { wipe(text_); }

    const std::string& reveal() const { return text_; }

    /// Overwrites the string's whole memory, then empties it.
    static void wipe(std::string& text);

private:
    std::string text_;
};

}  // namespace popgate
