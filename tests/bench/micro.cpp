// The pure parts of a session, by themselves.
#include "gateway/index/reconcile.hpp"
#include "gateway/pop3/body_encoder.hpp"
#include "gateway/pop3/command.hpp"
#include "gateway/pop3/line_reader.hpp"
#include "gateway/state/message_codec.hpp"

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

namespace popgate {
namespace {

constexpr std::size_t read_octets = 16 * 1024;  // about what one read of an upstream gives

std::int64_t as_signed(std::size_t count) { return static_cast<std::int64_t>(count); }

void parse(benchmark::State& state) {
    const std::vector<std::string> lines{"USER somebody@example.com",
                                         "PASS correct horse battery",
                                         "STAT",
                                         "UIDL",
                                         "RETR 12345",
                                         "TOP 17 0",
                                         "DELE 12345",
                                         "QUIT"};
    for (auto _ : state) {
        for (const auto& line : lines) benchmark::DoNotOptimize(pop3::parse_command(line));
    }
    state.SetItemsProcessed(state.iterations() * as_signed(lines.size()));
}
BENCHMARK(parse);

void read_lines(benchmark::State& state) {
    std::string burst;  // of a client that pipelines
    for (int number = 1; number <= 100; ++number) burst += "RETR " + std::to_string(number) + "\r\n";
    pop3::LineReader reader(512);
    for (auto _ : state) {
        reader.feed(burst);
        std::string_view line;
        while (reader.next(line) == pop3::LineReader::Event::line) benchmark::DoNotOptimize(line);
    }
    state.SetItemsProcessed(state.iterations() * 100);
}
BENCHMARK(read_lines);

void encode(benchmark::State& state, const std::string& line) {
    std::string octets;
    while (octets.size() < read_octets) octets += line;
    std::string out;
    pop3::BodyEncoder encoder;
    for (auto _ : state) {
        out.clear();
        encoder.encode(octets, out);
        benchmark::DoNotOptimize(out.data());
    }
    state.SetBytesProcessed(state.iterations() * as_signed(octets.size()));
}
BENCHMARK_CAPTURE(encode, base64, std::string(76, 'Q') + "\r\n");
BENCHMARK_CAPTURE(encode, text, "And so on, in lines of some length ... or other.\r\n");
BENCHMARK_CAPTURE(encode, dots, ".\r\n");
BENCHMARK_CAPTURE(encode, bare_lf, std::string(76, 'Q') + "\n");

std::vector<StoredMessage> known_messages(std::uint32_t count) {
    std::vector<StoredMessage> messages(count);
    for (std::uint32_t i = 0; i < count; ++i) {
        messages[i].number = i + 1;
        messages[i].info.id = std::to_string(1000 + 3 * i);
        messages[i].info.octets = 4096 + i % 4096;
        messages[i].info.arrival = 1'700'000'000 + i;
        messages[i].first_seen = 1'700'000'000 + i;
    }
    return messages;
}

void pack(benchmark::State& state) {
    auto messages = known_messages(chunk_span - 1);  // numbers from 1: all of the first chunk
    for (auto _ : state) benchmark::DoNotOptimize(pack_messages(messages));
    state.SetItemsProcessed(state.iterations() * as_signed(messages.size()));
}
BENCHMARK(pack);

void unpack(benchmark::State& state) {
    const auto packed = pack_messages(known_messages(chunk_span - 1));
    std::vector<StoredMessage> messages;
    for (auto _ : state) {
        messages.clear();
        if (!unpack_messages(packed, 0, messages)) state.SkipWithError("not what was packed");
    }
    state.SetItemsProcessed(state.iterations() * (chunk_span - 1));
}
BENCHMARK(unpack);

/// A mailbox that is as it was (new_messages 0) or has got some.
void reconcile_mailbox(benchmark::State& state) {
    const auto count = static_cast<std::uint32_t>(state.range(0));
    const auto all = known_messages(count + static_cast<std::uint32_t>(state.range(1)));
    StoredMailbox stored;
    stored.head.version = 1;
    stored.head.generation = "1";
    stored.head.next_number = count + 1;
    std::vector<MessageInfo> listed;
    for (const auto& each : all) {
        listed.push_back(each.info);
        if (each.number <= count) {
            listed.back().tag = each.number;
            stored.messages.push_back(each);
        }
    }
    for (auto _ : state) {
        state.PauseTiming();
        auto before = stored;
        auto now = listed;
        state.ResumeTiming();
        benchmark::DoNotOptimize(reconcile(std::move(before), std::move(now), "1", {1'700'000'000}));
    }
    state.SetItemsProcessed(state.iterations() * as_signed(all.size()));
}
BENCHMARK(reconcile_mailbox)
    ->ArgNames({"known", "new"})
    ->Args({50, 0})
    ->Args({5000, 10})
    ->Args({100'000, 0})
    ->Args({100'000, 10});

}  // namespace
}  // namespace popgate
