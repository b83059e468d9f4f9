#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace popgate::local {

/// Counts a message's octets as RETR will send them: a bare LF counts as CRLF, a missing last CRLF counts too.
class OctetCounter {
public:
    void add(std::string_view piece);
    std::uint64_t octets() const { return octets_ + (octets_ > 0 && last_ != '\n' ? 2 : 0); }

private:
    std::uint64_t octets_ = 0;
    char last_ = '\0';
};

using Digest = std::array<unsigned char, 32>;

/// SHA-256.
class Sha256 {
public:
    Sha256();
    void add(std::string_view piece);
    /// The digest of all that was added; begins anew.
    Digest finish();
    /// Begins anew.
    void start();

private:
    struct Free {
        void operator()(evp_md_ctx_st* context) const;
    };

    std::unique_ptr<evp_md_ctx_st, Free> context_;
};

/// The first `bytes` bytes, two digits a byte.
std::string to_hex(const unsigned char* digest, std::size_t bytes);

}  // namespace popgate::local
