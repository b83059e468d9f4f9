#pragma once

#include "backends/mailbox.hpp"

#include <cstdint>
#include <memory>
#include <string_view>

namespace popgate::gmail {

/// Takes the JSON answer to users.messages.get with format=raw as it comes, and gives the message in it to another
/// sink: a member "raw" in base64url (RFC 4648 §5), with or without padding. Holds a few kilobytes, whatever the
/// message's size. Of one answer, on one fiber.
class RawStream final : public BodySink {
public:
    explicit RawStream(BodySink& sink);
    ~RawStream() override;

    bool write(std::string_view octets) noexcept override;

    /// To be called once, when all was written or write() has answered false: success means that the JSON was complete
    /// and held one whole message. Errc::sink_closed when the other sink wanted no more, Errc::temporary otherwise.
    Status finish();

    std::uint64_t octets() const;  ///< of the message, given so far

private:
    struct Parser;
    std::unique_ptr<Parser> parser_;
};

}  // namespace popgate::gmail
