#pragma once

#include <boost/asio/ip/address.hpp>

#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>

namespace popgate {

/// Counts sessions in total and per client address, and refuses those over the caps. Any thread may use it. An IPv6
/// client counts by its /64, which is what one of them can move about in.
class Admission {
public:
    Admission(std::uint32_t total_cap, std::uint32_t address_cap) : total_cap_(total_cap), address_cap_(address_cap) {}

    /// One admitted session; counted as long as it lives.
    class Permit {
    public:
        Permit(Permit&& other) noexcept;
        Permit& operator=(Permit&&) = delete;
        ~Permit();

    private:
        friend class Admission;
        Permit(Admission& admission, const boost::asio::ip::address& group) : admission_(&admission), group_(group) {}
        Admission* admission_;
        boost::asio::ip::address group_;
    };

    /// Nothing when a cap is reached.
    std::optional<Permit> admit(const boost::asio::ip::address& client);

private:
    std::uint32_t total_cap_;
    std::uint32_t address_cap_;
    std::mutex mutex_;
    std::uint32_t total_ = 0;
    struct Hash {
        std::size_t operator()(const boost::asio::ip::address& address) const;
    };
    std::unordered_map<boost::asio::ip::address, std::uint32_t, Hash> by_address_;
};

}  // namespace popgate
