// The first octet chooses the pieces; the rest is what a server sends.
#include "gateway/commands/pop3_reply.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/fuzz/splitter.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace {

using namespace popgate::commands;

struct Reply {
    bool ok = false;
    bool ended = false;
    std::string status;
    std::string body;
    bool operator==(const Reply&) const = default;
};

/// Multi-line replies, the last of them perhaps not ended.
struct Conversation {
    std::vector<Reply> replies;
    bool broken = false;
    bool operator==(const Conversation&) const = default;
};

/// Line by line, as RFC 1939 §3 says it.
Conversation read_naively(std::string_view octets) {
    Conversation talk;
    for (bool in_body = false;;) {
        const auto end = octets.find('\n');
        const bool whole = end != std::string_view::npos;
        auto line = octets.substr(0, whole ? end + 1 : octets.size());
        if (!in_body) {
            if (line.size() > ReplyReader::longest_status) return talk.broken = true, talk;
            if (!whole) return talk;
            octets.remove_prefix(line.size());
            line.remove_suffix(1);
            if (line.ends_with('\r')) line.remove_suffix(1);
            const std::string with_blank = std::string(line) + ' ';
            Reply reply;
            reply.ok = with_blank.starts_with("+OK ");
            if (!reply.ok && !with_blank.starts_with("-ERR ")) return talk.broken = true, talk;
            const std::size_t skipped = reply.ok ? 4 : 5;
            reply.status = line.size() > skipped ? line.substr(skipped) : "";
            reply.ended = !reply.ok;
            in_body = reply.ok;
            talk.replies.push_back(reply);
            continue;
        }
        if (line == ".\n" || line == ".\r\n") {
            talk.replies.back().ended = true;
            in_body = false;
        } else if (whole || (line != "." && line != ".\r")) {
            talk.replies.back().body += line.starts_with('.') ? line.substr(1) : line;
        }
        octets.remove_prefix(line.size());
        if (!whole) return talk;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto octets = popgate::test::as_text(data, size);
    const auto seed = popgate::test::take_octet(octets);
    const auto expected = read_naively(octets);
    for (const std::size_t longest : {std::size_t{1}, std::size_t{7}, octets.size() + 1}) {
        ReplyReader reader;
        Conversation talk;
        popgate::test::split(octets, seed, longest, [&](std::string_view piece) {
            reader.feed(piece);
            for (;;) {
                std::string_view text;
                switch (reader.next(true, text)) {
                    case ReplyReader::Event::need_more: return;
                    case ReplyReader::Event::broken: talk.broken = true; return;
                    case ReplyReader::Event::status:
                        talk.replies.push_back({reader.ok(), false, std::string(text), {}});
                        break;
                    case ReplyReader::Event::octets: talk.replies.back().body += text; break;
                    case ReplyReader::Event::end: talk.replies.back().ended = true; break;
                }
            }
        });
        FUZZ_CHECK(talk == expected);
    }
    for (const auto& reply : expected.replies) {
        const auto code = response_code(reply.status);
        FUZZ_CHECK(code.empty() || reply.status.starts_with('[' + std::string(code) + ']'));
        const auto scan = parse_scan_line(std::string_view(reply.body).substr(0, reply.body.find('\n')));
        FUZZ_CHECK(!scan || scan->number > 0);
        FUZZ_CHECK(!scan || !is_valid_unique_id(scan->value) || scan->value.find(' ') == std::string_view::npos);
    }
    return 0;
}
