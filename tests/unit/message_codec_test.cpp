#include "gateway/state/message_codec.hpp"

#include "gateway/state/packing.hpp"
#include "gateway/state/unique_id_codec.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>
#include <tuple>
#include <vector>

namespace popgate {
namespace {

using namespace std::string_literals;

StoredMessage message(std::uint32_t number, std::string id) {
    StoredMessage made;
    made.number = number;
    made.info.id = std::move(id);
    return made;
}

auto values(const StoredMessage& m) {
    return std::tuple(m.number, m.info.id, m.info.octets, m.info.octets_are_exact, m.info.arrival, m.info.unique_id,
                      m.first_seen, m.retrieved, m.failures, m.hidden, m.quarantined);
}

void expect_round_trip(const std::vector<StoredMessage>& messages) {
    std::vector<StoredMessage> back;
    ASSERT_TRUE(unpack_messages(pack_messages(messages), chunk_of(messages[0].number), back));
    ASSERT_EQ(back.size(), messages.size());
    for (std::size_t i = 0; i < back.size(); ++i) EXPECT_EQ(values(back[i]), values(messages[i])) << i;
}

bool is_refused(const std::string& packed, std::uint32_t chunk = 0) {
    std::vector<StoredMessage> to{message(7, "kept")};
    const bool refused = !unpack_messages(packed, chunk, to);
    EXPECT_EQ(to.size() == 1, refused) << "nothing is appended by what is refused";
    return refused;
}

TEST(Packing, NumbersTakeAsManyOctetsAsTheyNeed) {
    const std::vector<std::pair<std::uint64_t, std::size_t>> sizes{
        {0, 1}, {127, 1}, {128, 2}, {16383, 2}, {16384, 3}, {~std::uint64_t{0} >> 1, 9}, {~std::uint64_t{0}, 10}};
    for (const auto& [value, size] : sizes) {
        packing::Writer writer;
        writer.number(value);
        const auto packed = writer.take();
        EXPECT_EQ(packed.size(), size) << value;
        packing::Reader reader(packed);
        EXPECT_EQ(reader.number(), value);
        EXPECT_TRUE(reader.ok() && reader.at_end());
    }
    for (const auto value : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{63}, std::int64_t{-64},
                             std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
        packing::Writer writer;
        writer.signed_number(value);
        const auto packed = writer.take();
        EXPECT_EQ(packing::Reader(packed).signed_number(), value);
    }
}

TEST(Packing, WhatDoesNotFitReadsAsNothing) {
    for (const auto& packed : {""s, "\x80"s, std::string(10, '\xff'), std::string(9, '\xff') + "\x02"}) {
        packing::Reader reader(packed);
        EXPECT_EQ(reader.number(), 0U);
        EXPECT_FALSE(reader.ok());
        EXPECT_EQ(reader.text(), "");
        EXPECT_EQ(reader.octet(), 0);
    }
    for (const auto& packed : {"\x05"
                               "abcd"s,
                               std::string(9, '\xff') + "\x01"
                                                        "abc"}) {
        packing::Reader reader(packed);
        EXPECT_EQ(reader.text(), "");
        EXPECT_FALSE(reader.ok());
    }
}

TEST(Packing, AnySingleChangeBreaksTheSeal) {
    for (const auto& text : {""s, "a"s, "12345678"s, "123456789"s, std::string(100, '\0')}) {
        const auto sealed = packing::sealed(text, 5);
        EXPECT_EQ(packing::unsealed(sealed, 5), text);
        EXPECT_FALSE(packing::unsealed(sealed, 6));
        for (std::size_t i = 0; i < sealed.size(); ++i)
            for (int bit = 0; bit < 8; ++bit) {
                auto changed = sealed;
                changed[i] = static_cast<char>(changed[i] ^ 1 << bit);
                EXPECT_FALSE(packing::unsealed(changed, 5)) << i;
            }
        for (std::size_t size = 0; size < sealed.size(); ++size)
            EXPECT_FALSE(packing::unsealed(sealed.substr(0, size), 5)) << size;
    }
}

TEST(MessageCodec, EveryFieldComesBack) {
    constexpr auto latest = std::numeric_limits<std::int64_t>::max();
    constexpr auto earliest = std::numeric_limits<std::int64_t>::min();
    std::vector<StoredMessage> messages;
    for (const auto& id : {"1"s, "2"s, "1"s, "999999999999999999"s, "1000000000000000000"s, "0"s, "01"s, "-1"s, "+1"s,
                           " 1"s, "1 "s, "\0"s, std::string(3000, 'x'), "4294967295"s}) {
        messages.push_back(message(static_cast<std::uint32_t>(1024 + messages.size() * 3), id));
        auto& m = messages.back();
        const auto i = messages.size();
        m.info.octets = i % 2 ? ~std::uint64_t{0} : i;
        m.info.octets_are_exact = i % 3 == 0;
        m.info.arrival = i % 4 ? latest : 0;
        m.info.unique_id = i % 5 ? "" : "unique";
        m.first_seen = i % 2 ? earliest : latest;
        m.retrieved = i % 3 ? 0 : earliest + 1;
        m.failures = i % 2 ? 0 : 255;
        m.hidden = i % 2;
        m.quarantined = i % 3;
    }
    expect_round_trip(messages);
    expect_round_trip({message(1, "a")});
    expect_round_trip({message(511, "a")});
    expect_round_trip({message(512, "a"), message(1023, "b")});
    expect_round_trip({message(4294967295, "a")});
}

TEST(MessageCodec, AWholeChunkOfImapMessagesIsSmall) {
    std::vector<StoredMessage> messages;
    for (std::uint32_t number = 512; number < 1024; ++number) {
        messages.push_back(message(number, std::to_string(number * 2)));
        messages.back().info.octets = 5000;
        messages.back().first_seen = 1'760'000'000;
        messages.back().info.arrival = 1'750'000'000;
    }
    expect_round_trip(messages);
    EXPECT_LT(pack_messages(messages).size(), 512U * 12);
}

TEST(MessageCodec, WhatWasNotPackedSoIsRefused) {
    const auto packed = pack_messages({message(1, "17"), message(5, "x")});
    EXPECT_FALSE(is_refused(packed));
    EXPECT_TRUE(is_refused(packed + '\0'));
    EXPECT_TRUE(is_refused(packed, 1U << 23)) << "there is no such chunk";
    for (std::size_t size = 0; size < packed.size(); ++size) EXPECT_TRUE(is_refused(packed.substr(0, size))) << size;
    const auto with = [&](std::size_t at, char octet) {
        auto changed = packed;
        changed.at(at) = octet;
        return changed;
    };
    EXPECT_TRUE(is_refused(with(0, 2))) << "a later format";
    EXPECT_TRUE(is_refused(with(1, 0))) << "no messages";
    EXPECT_TRUE(is_refused("\x01\x81\x04"s + std::string(20'000, '\x01'))) << "513 messages";
    EXPECT_TRUE(is_refused("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s)) << "an absurd count";
    EXPECT_TRUE(is_refused("\x01\x01\x00\x00\x01x\x00\x00"s)) << "number 0";
    EXPECT_FALSE(is_refused("\x01\x01\x01\x00\x01x\x00\x00"s));
    EXPECT_TRUE(is_refused("\x01\x01\x80\x04\x00\x01x\x00\x00"s)) << "number 512";
    EXPECT_TRUE(is_refused("\x01\x01\x01\x00\x00\x00\x00"s)) << "an empty id";
    EXPECT_TRUE(is_refused("\x01\x01\x01\x08\x00\x00\x00"s)) << "UID 0";
    EXPECT_TRUE(is_refused("\x01\x01\x01\x08\x01\x00\x00"s)) << "UID -1";
    EXPECT_TRUE(is_refused("\x01\x01\x01\x10\x01x\x00\x00\x00"s)) << "an empty unique-id";
}

TEST(MessageCodec, NoiseIsNoCrash) {
    std::mt19937 random(20261125);
    auto packed = pack_messages({message(1, "17"), message(2, "18"), message(3, "an id"), message(400, "19")});
    for (int round = 0; round < 50'000; ++round) {
        auto changed = packed;
        for (auto n = random() % 4 + 1; n-- > 0;) changed[random() % changed.size()] = static_cast<char>(random());
        changed.resize(changed.size() - random() % 3);
        is_refused(changed);
    }
}

TEST(UniqueIdCodec, RecordsComeBack) {
    const UniqueIdRecords records{{"", {"a", "b", -1}}, {"m", {"", "", 0}}, {"n\0"s, {std::string(300, 'g'), "", 7}}};
    EXPECT_EQ(unpack_records(pack_records(records)), records);
    EXPECT_EQ(unpack_records(pack_records({})), UniqueIdRecords{});
    const ImportedIds ids{{"1", "x"}, {"2", ""}, {"\xff", std::string(70, '~')}};
    EXPECT_EQ(unpack_imported(pack_imported(ids)), ids);
}

TEST(UniqueIdCodec, WhatWasNotPackedSoIsRefused) {
    EXPECT_FALSE(unpack_records(""));
    EXPECT_FALSE(unpack_imported(""));
    EXPECT_FALSE(unpack_imported("\x02"));
    EXPECT_FALSE(
        unpack_imported("\x01\x01"
                        "b\x01x\x01"
                        "a\x01x"))
        << "out of order";
    EXPECT_FALSE(
        unpack_imported("\x01\x01"
                        "a\x01x\x01"
                        "a\x01y"))
        << "twice";
    const auto packed = pack_records({{"m", {"a", "b", 1}}});
    for (std::size_t size = 2; size < packed.size(); ++size)
        EXPECT_FALSE(unpack_records(packed.substr(0, size))) << size;
}

}  // namespace
}  // namespace popgate
