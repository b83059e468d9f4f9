// The first octet chooses the pieces; the rest is an mbox. Cut anywhere it holds the same messages.
#include "backends/files/measure.hpp"
#include "backends/mbox/mbox_message.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/fuzz/splitter.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace {

using namespace popgate;

struct Message {
    mbox::Fingerprint fingerprint{};
    std::string content;
    std::uint64_t octets = 0;
    std::int64_t arrival = 0;
    std::size_t end = 0;
    bool operator==(const Message&) const = default;
};

/// As a scan of the file reads it, block by block.
class Reader {
public:
    void take(std::string_view block, bool last) {
        buffer_ += block;
        std::string_view rest = buffer_;
        do {
            const auto taken = reader_.take(rest, last, &content_);
            FUZZ_CHECK(taken <= rest.size());
            rest.remove_prefix(taken);
            at_ += taken;
            if (!reader_.done()) break;
            Message message;
            message.octets = reader_.octets();
            message.arrival = reader_.arrival();
            message.fingerprint = reader_.fingerprint();
            message.content = std::move(content_);
            message.end = at_;
            messages.push_back(std::move(message));
            content_.clear();
            reader_.reset();
        } while (!rest.empty());
        FUZZ_CHECK(rest.size() < mbox::MessageReader::lookahead);
        buffer_.erase(0, buffer_.size() - rest.size());
    }
    std::vector<Message> messages;

private:
    mbox::MessageReader reader_;
    std::string buffer_;
    std::string content_;
    std::size_t at_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto file = test::as_text(data, size);
    const auto seed = test::take_octet(file);
    // A scan refuses any other file.
    if (!file.starts_with("From ")) return 0;
    Reader whole;
    whole.take(file, true);
    FUZZ_CHECK(!whole.messages.empty() && whole.messages.back().end == file.size());
    for (const auto& message : whole.messages) {
        local::OctetCounter counter;
        counter.add(message.content);
        FUZZ_CHECK(counter.octets() == message.octets);
        FUZZ_CHECK(message.arrival >= 0);
    }
    for (const std::size_t longest : {std::size_t{1}, std::size_t{30}}) {
        Reader reader;
        std::size_t fed = 0;
        test::split(file, seed, longest, [&](std::string_view piece) {
            fed += piece.size();
            reader.take(piece, fed == file.size());
        });
        FUZZ_CHECK(reader.messages == whole.messages);
    }
    return 0;
}
