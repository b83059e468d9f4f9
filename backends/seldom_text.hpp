#pragma once

#include <memory>
#include <string>
#include <utility>

namespace popgate {

/// Text that hardly any of very many objects has: while it is empty it takes a pointer, where a std::string takes four.
/// Otherwise a value like a std::string.
class SeldomText {
public:
    SeldomText() = default;
    SeldomText(std::string text) {  // implicit, as from one string to another
        if (!text.empty()) text_ = std::make_unique<std::string>(std::move(text));
    }
    SeldomText(const char* text) : SeldomText(std::string(text)) {}
    SeldomText(const SeldomText& other) : SeldomText(other.str()) {}
    SeldomText(SeldomText&& other) noexcept = default;
    SeldomText& operator=(const SeldomText& other) { return *this = SeldomText(other); }
    SeldomText& operator=(SeldomText&& other) noexcept = default;
    ~SeldomText() = default;

    bool empty() const { return !text_; }
    const std::string& str() const { return text_ ? *text_ : none; }

    friend bool operator==(const SeldomText& a, const SeldomText& b) { return a.str() == b.str(); }

private:
    inline static const std::string none;
    std::unique_ptr<std::string> text_;  // null, or not empty
};

}  // namespace popgate
