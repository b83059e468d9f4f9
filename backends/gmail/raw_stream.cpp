#include "backends/gmail/raw_stream.hpp"

#include <boost/json/basic_parser_impl.hpp>

#include <array>
#include <cstdint>
#include <new>
#include <string>
#include <utility>

namespace popgate::gmail {

namespace json = boost::json;

namespace {

constexpr std::uint64_t most_around = 64 * 1024;  // octets of JSON that are not the message

constexpr auto values = [] {
    std::array<std::int8_t, 256> table{};
    for (auto& each : table) each = -1;
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (std::size_t i = 0; i < digits.size(); ++i)
        table[static_cast<unsigned char>(digits[i])] = static_cast<std::int8_t>(i);
    return table;
}();

/// Base64url, piece by piece.
class Decoder {
public:
    enum class Outcome { good, bad, closed };

    explicit Decoder(BodySink& sink) : sink_(sink) {}

    Outcome write(std::string_view text) noexcept {
        for (const char c : text) {
            if (c == '=') {
                if (++padding_ > 2) return Outcome::bad;
                continue;
            }
            const auto value = values[static_cast<unsigned char>(c)];
            if (value < 0 || padding_ > 0) return Outcome::bad;
            bits_ = bits_ << 6 | static_cast<std::uint32_t>(value);
            if (++digits_ < 4) continue;
            if (used_ + 3 > buffer_.size() && !flush()) return Outcome::closed;
            for (const int shift : {16, 8, 0}) put(shift);
            digits_ = 0;
        }
        // A piece is given on at once: behind it the network may be slow.
        return flush() ? Outcome::good : Outcome::closed;
    }

    /// The last digits: two of them make an octet, three make two, and what is left over must be zero.
    Outcome finish() noexcept {
        const bool is_padded = padding_ > 0;
        if (digits_ == 1 || (is_padded && digits_ + padding_ != 4)) return Outcome::bad;
        if (digits_ == 0) return is_padded ? Outcome::bad : Outcome::good;
        const bool is_clean = (bits_ & (digits_ == 2 ? 0xFu : 0x3u)) == 0;
        if (!is_clean) return Outcome::bad;
        bits_ <<= 6 * (4 - digits_);
        put(16);
        if (digits_ == 3) put(8);
        return flush() ? Outcome::good : Outcome::closed;
    }

    std::uint64_t octets() const { return octets_; }

private:
    void put(int shift) noexcept { buffer_[used_++] = static_cast<char>(bits_ >> shift & 0xFF); }

    bool flush() noexcept {
        const auto used = used_;
        used_ = 0;
        octets_ += used;
        return used == 0 || sink_.write({buffer_.data(), used});
    }

    BodySink& sink_;
    std::array<char, 6144> buffer_;
    std::size_t used_ = 0;
    std::uint32_t bits_ = 0;
    unsigned digits_ = 0;
    unsigned padding_ = 0;
    std::uint64_t octets_ = 0;
};

using boost::system::error_code;

/// What Boost.JSON's parser calls: finds the "raw" of the outermost object.
class Handler {
public:
    static constexpr std::size_t max_object_size = SIZE_MAX;
    static constexpr std::size_t max_array_size = SIZE_MAX;
    static constexpr std::size_t max_key_size = 4096;
    static constexpr std::size_t max_string_size = SIZE_MAX;

    explicit Handler(BodySink& sink) : decoder_(sink) {}

    bool on_document_begin(error_code&) { return true; }
    bool on_document_end(error_code&) { return true; }
    bool on_object_begin(error_code& error) {
        if (depth_++ == 0) is_object_ = true;
        return other_value(error);
    }
    bool on_object_end(std::size_t, error_code&) {
        --depth_;
        return true;
    }
    bool on_array_begin(error_code& error) {
        ++depth_;
        return other_value(error);
    }
    bool on_array_end(std::size_t, error_code&) {
        --depth_;
        return true;
    }
    bool on_key_part(json::string_view text, std::size_t, error_code&) {
        if (depth_ == 1) key_.append(text.data(), text.size());
        return true;
    }
    bool on_key(json::string_view text, std::size_t, error_code& error) {
        if (depth_ != 1) return true;
        key_.append(text.data(), text.size());
        is_raw_ = key_ == "raw";
        key_.clear();
        return !is_raw_ || !std::exchange(has_raw_, true) || fail("two messages in one answer", error);
    }
    bool on_string_part(json::string_view text, std::size_t, error_code& error) {
        return !is_raw_ || judge(decoder_.write({text.data(), text.size()}), error);
    }
    bool on_string(json::string_view text, std::size_t, error_code& error) {
        if (!is_raw_) return true;
        is_whole_ = judge(decoder_.write({text.data(), text.size()}), error) && judge(decoder_.finish(), error);
        is_raw_ = false;
        return is_whole_;
    }
    bool on_number_part(json::string_view, error_code&) { return true; }
    bool on_int64(std::int64_t, json::string_view, error_code& error) { return other_value(error); }
    bool on_uint64(std::uint64_t, json::string_view, error_code& error) { return other_value(error); }
    bool on_double(double, json::string_view, error_code& error) { return other_value(error); }
    bool on_bool(bool, error_code& error) { return other_value(error); }
    bool on_null(error_code& error) { return other_value(error); }
    bool on_comment_part(json::string_view, error_code&) { return true; }
    bool on_comment(json::string_view, error_code&) { return true; }

    std::uint64_t octets() const { return decoder_.octets(); }
    bool is_closed() const { return is_closed_; }
    const char* fault() const { return fault_; }
    bool has_message() const { return is_object_ && is_whole_; }

private:
    bool judge(Decoder::Outcome outcome, error_code& error) {
        if (outcome == Decoder::Outcome::bad) return fail("no base64url", error);
        is_closed_ = outcome == Decoder::Outcome::closed;
        if (is_closed_) error = json::error::exception;
        return !is_closed_;
    }
    bool other_value(error_code& error) { return !is_raw_ || fail("raw is no text", error); }
    bool fail(const char* fault, error_code& error) {
        fault_ = fault;
        error = json::error::exception;  // the parser stops where there is one, whichever
        return false;
    }

    Decoder decoder_;
    std::size_t depth_ = 0;
    std::string key_;
    bool is_raw_ = false;  // what comes next is its value
    bool has_raw_ = false;
    bool is_object_ = false;
    bool is_whole_ = false;   // the message has ended, and well
    bool is_closed_ = false;  // the sink wants no more
    const char* fault_ = nullptr;
};

}  // namespace

struct RawStream::Parser {
    explicit Parser(BodySink& sink) : json(json::parse_options(), sink) {}
    json::basic_parser<Handler> json;
    bool has_failed = false;
    std::uint64_t taken = 0;  // octets of JSON
};

RawStream::RawStream(BodySink& sink) : parser_(std::make_unique<Parser>(sink)) {}

RawStream::~RawStream() = default;

// The sink may suspend the fiber within the parser's call, which is as good as any other call.
bool RawStream::write(std::string_view octets) noexcept {
    auto& parser = *parser_;
    if (parser.has_failed || octets.empty()) return !parser.has_failed;
    try {
        error_code error;
        const auto used = parser.json.write_some(true, octets.data(), octets.size(), error);
        parser.taken += octets.size();
        const bool is_endless = parser.taken > most_around + 2 * parser.json.handler().octets();
        const bool is_rest_blank = octets.find_first_not_of(" \t\r\n", used) == std::string_view::npos;
        parser.has_failed = error || !is_rest_blank || is_endless;
    } catch (const std::bad_alloc&) {
        parser.has_failed = true;
    }
    return !parser.has_failed;
}

Status RawStream::finish() {
    const auto bad = [](std::string detail) {
        return Error{Errc::temporary, "the mail server does not answer as it should", "message: " + std::move(detail)};
    };
    auto& parser = *parser_;
    const auto& handler = parser.json.handler();
    if (handler.is_closed()) return Error{Errc::sink_closed, "no more is wanted", {}};
    if (handler.fault()) return bad(handler.fault());
    if (!parser.has_failed && !parser.json.done()) {
        error_code error;
        parser.json.write_some(false, "", 0, error);
        parser.has_failed = error.failed();
    }
    if (parser.has_failed || !parser.json.done()) return bad("broken or incomplete JSON");
    if (!handler.has_message()) return bad("no message");
    return {};
}

std::uint64_t RawStream::octets() const { return parser_->json.handler().octets(); }

}  // namespace popgate::gmail
