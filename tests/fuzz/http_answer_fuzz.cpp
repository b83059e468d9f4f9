// What an HTTP server answers to one request: cpp-httplib's parser, with what is in front of it and behind it. The
// first octet chooses the request and the pieces; the rest is what the server sends before it closes.
#include "backends/http/exchange.hpp"
#include "gateway/net/fiber.hpp"
#include "gateway/net/stream.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/fuzz/splitter.hpp"

#include <sys/socket.h>

#include <string>

namespace {

using namespace popgate;
using namespace std::chrono_literals;
using boost::asio::ip::tcp;

class Text final : public BodySink {
public:
    bool write(std::string_view octets) noexcept override {
        text += octets;
        return true;
    }
    std::string text;
};

struct Outcome {
    http::Exchanged result;
    std::string streamed;
};

Outcome exchange_in_pieces(boost::asio::io_context& context, unsigned choice, std::string_view octets,
                           std::size_t longest) {
    int pair[2];
    FUZZ_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    const auto failed = [](const std::exception&) { FUZZ_CHECK(!"an exception left a fiber"); };
    Outcome outcome;
    bool has_ended = false;
    context.restart();
    Fiber::start(
        context,
        [&](Fiber& fiber) {
            Stream stream(fiber, tcp::socket(context, tcp::v4(), pair[0]));
            http::Upstream upstream;
            upstream.command_timeout = 10s;
            upstream.longest_answer = 10'000;
            http::Request request;
            request.method = choice & 1 ? "HEAD" : choice & 2 ? "POST" : "GET";
            request.url = *http::parse_url("http://127.0.0.1:8080/mail?id=1");
            request.wants_message = choice & 4;
            Text sink;
            outcome.result = http::exchange(fiber, stream, upstream, request, request.url, {}, choice & 8,
                                            choice & 16 ? &sink : nullptr);
            outcome.streamed = sink.text;
            has_ended = true;
        },
        failed);
    Fiber::start(
        context,
        [&](Fiber& fiber) {
            Stream stream(fiber, tcp::socket(context, tcp::v4(), pair[1]));
            test::split(octets, choice, longest, [&](std::string_view piece) {
                (void)stream.write(piece, 10s);
                fiber.give_way();
            });
            stream.close(0ms);
        },
        failed);
    context.run();
    FUZZ_CHECK(has_ended);
    return outcome;
}

void check(const Outcome& outcome, bool streams) {
    const auto& [result, streamed] = outcome;
    const auto& response = result.response;
    FUZZ_CHECK(result.began == !streamed.empty());
    FUZZ_CHECK(streamed.empty() || (streams && response.status == 200));
    FUZZ_CHECK(response.body.size() <= 64 * 1024);
    FUZZ_CHECK(!result.can_be_kept || (!result.error && result.answered));
    if (result.error) return;
    FUZZ_CHECK(response.status >= 100 && response.status <= 999);
    // What was told to be so long is so long, or it is no success.
    const auto length = response.header("Content-Length");
    if (streams && response.status == 200 && !length.empty() && response.header("Content-Encoding").empty())
        FUZZ_CHECK(std::to_string(streamed.size()) ==
                       length.substr(std::min(length.find_first_not_of('0'), length.size() - 1)) ||
                   streamed.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto octets = test::as_text(data, size);
    const auto choice = test::take_octet(octets);
    static boost::asio::io_context context(1);
    const auto whole = exchange_in_pieces(context, choice, octets, octets.size() + 1);
    check(whole, choice & 16);
    const auto pieces = exchange_in_pieces(context, choice, octets, 7);
    check(pieces, choice & 16);
    FUZZ_CHECK(pieces.result.error.has_value() == whole.result.error.has_value());
    FUZZ_CHECK(pieces.result.response.status == whole.result.response.status);
    if (whole.result.error) return 0;  // how far it came by then is chance
    FUZZ_CHECK(pieces.streamed == whole.streamed);
    FUZZ_CHECK(pieces.result.response.body == whole.result.response.body);
    return 0;
}
