#include "backends/http/inflate.hpp"

#include <zlib.h>

#include <new>

namespace popgate::http {

struct Inflater::State {
    z_stream stream{};
    char piece[16 * 1024];
};

Inflater::Inflater() : state_(std::make_unique<State>()) {
    constexpr int gzip_or_zlib = 32;
    if (inflateInit2(&state_->stream, MAX_WBITS + gzip_or_zlib) != Z_OK) throw std::bad_alloc();
}

Inflater::~Inflater() { inflateEnd(&state_->stream); }

Inflater::Outcome Inflater::feed(std::string_view octets, const std::function<bool(std::string_view)>& take) {
    auto& stream = state_->stream;
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(octets.data()));
    stream.avail_in = static_cast<uInt>(octets.size());
    do {
        if (is_whole_) {
            if (stream.avail_in == 0) return Outcome::good;
            // A gzip body may have several members (RFC 1952 §2.2).
            is_whole_ = false;
            if (inflateReset(&stream) != Z_OK) return Outcome::damaged;
        }
        stream.next_out = reinterpret_cast<Bytef*>(state_->piece);
        stream.avail_out = sizeof state_->piece;
        const int result = inflate(&stream, Z_NO_FLUSH);
        const auto count = sizeof state_->piece - stream.avail_out;
        if (count > 0 && !take({state_->piece, count})) return Outcome::stopped;
        if (result == Z_STREAM_END)
            is_whole_ = true;
        else if (result == Z_BUF_ERROR)
            return Outcome::good;  // it wants more input
        else if (result != Z_OK)
            return Outcome::damaged;
    } while (stream.avail_in > 0 || stream.avail_out == 0);
    return Outcome::good;
}

}  // namespace popgate::http
