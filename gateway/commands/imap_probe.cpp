#include "gateway/commands/imap_probe.hpp"

#include "backends/registry.hpp"
#include "gateway/net/stream.hpp"
#include "gateway/net/tls.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>
#include <utility>

namespace popgate::commands {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t longest_line = 16 * 1024;
constexpr int most_lines = 50;

std::string upper(std::string text) {
    std::ranges::transform(text, text.begin(),
                           [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c & ~0x20) : c; });
    return text;
}

/// Of "* CAPABILITY …", or of "[CAPABILITY …]" in a line; empty without.
std::string capabilities_in(const std::string& line) {
    constexpr std::string_view word = "CAPABILITY ";
    const auto at = line.find(word);
    if (at == std::string::npos) return {};
    const auto begin = at + word.size();
    return line.substr(begin, line.find(']', begin) - begin);
}

class ImapTalk {
public:
    ImapTalk(std::unique_ptr<Stream> stream, std::chrono::milliseconds timeout)
        : stream_(std::move(stream)), timeout_(timeout) {}

    Stream& stream() { return *stream_; }

    /// Upper case, without its end.
    Result<std::string> line() {
        for (;;) {
            if (const auto end = buffer_.find('\n'); end != std::string::npos) {
                auto found = buffer_.substr(0, end);
                buffer_.erase(0, end + 1);
                if (found.ends_with('\r')) found.pop_back();
                return upper(std::move(found));
            }
            if (buffer_.size() > longest_line) return fault("the server does not speak IMAP", "a line without end");
            std::array<char, 2048> octets{};
            Stream::ErrorCode error;
            const auto size = stream_->read_some(octets.data(), octets.size(), timeout_, error);
            if (error) return fault("the server ends the connection, or is silent", error.message());
            buffer_.append(octets.data(), size);
        }
    }

    /// The capabilities that came with the answer; the last line must say OK.
    Result<std::string> command(const std::string& tag, const std::string& words) {
        if (const auto error = stream_->write(tag + ' ' + words + "\r\n", timeout_); error)
            return fault("the server ends the connection", error.message());
        std::string capabilities;
        for (int i = 0; i < most_lines; ++i) {
            auto said = line();
            if (!said) return said;
            if (auto found = capabilities_in(*said); !found.empty()) capabilities = std::move(found);
            if (!said->starts_with(tag + ' ')) continue;
            if (said->starts_with(tag + " OK")) return capabilities;
            return fault("the server refuses " + words, *said);
        }
        return fault("the server does not speak IMAP", "it does not stop to talk");
    }

    bool has_more() const { return !buffer_.empty(); }

    static Error fault(std::string text, std::string detail) {
        return {Errc::temporary, std::move(text), std::move(detail)};
    }

private:
    std::unique_ptr<Stream> stream_;
    std::chrono::milliseconds timeout_;
    std::string buffer_;
};

Status secure(ImapTalk& talk, const BackendOptions& options, const Place& place, std::chrono::milliseconds timeout) {
    const auto tls = TlsClientContext::make(options.ca_file, options.verify_certificate);
    const auto status = tls ? talk.stream().start_tls(**tls, place.host, timeout) : Status(tls.error());
    if (status) return {};
    return Error{Errc::permanent, status.error().text, status.error().detail};
}

}  // namespace

Result<ImapProbe> probe_imap(Fiber& fiber, const BackendOptions& options, const Place& place,
                             std::chrono::milliseconds timeout) {
    const auto begin = Clock::now();
    auto stream = Stream::connect(fiber, place.host, place.port, timeout);
    if (!stream) return Error{Errc::temporary, stream.error().text, stream.error().detail};
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
    ImapTalk talk(std::move(*stream), timeout);
    if (place.tls)
        if (auto status = secure(talk, options, place, timeout); !status) return status.error();
    const auto greeting = talk.line();
    if (!greeting) return greeting.error();
    if (!greeting->starts_with("* OK") && !greeting->starts_with("* PREAUTH"))
        return ImapTalk::fault("the server does not greet as IMAP servers do", *greeting);
    auto capabilities = talk.command("A1", "CAPABILITY");
    if (!capabilities) return capabilities.error();
    if (!place.tls && options.starttls == StartTls::require) {
        if ((' ' + *capabilities + ' ').find(" STARTTLS ") == std::string::npos)
            return Error{Errc::permanent, "the server offers no STARTTLS, which the route requires", {}};
        if (const auto status = talk.command("A2", "STARTTLS"); !status) return status.error();
        if (talk.has_more()) return ImapTalk::fault("the server goes on in clear after STARTTLS", {});
        if (auto status = secure(talk, options, place, timeout); !status) return status.error();
        capabilities = talk.command("A3", "CAPABILITY");
        if (!capabilities) return capabilities.error();
    }
    ImapProbe probe;
    probe.capabilities = *capabilities;
    const auto tls = talk.stream().tls_description();
    probe.description = "answers (" + std::to_string(took.count()) + " ms), " +
                        (tls == "none"                ? "in clear"
                         : options.verify_certificate ? tls + ", the certificate is good"
                                                      : tls + ", THE CERTIFICATE WAS NOT VERIFIED");
    if (talk.command("A4", "LOGOUT")) talk.stream().close(0ms);
    return probe;
}

}  // namespace popgate::commands
