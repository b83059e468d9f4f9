// The file in which another server keeps its numbers. The first octet chooses which, and how large the pieces are.
#include "backends/maildir/server_list.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

namespace {

using namespace popgate;
using maildir::ServerList;
using Record = std::tuple<std::string, std::uint32_t, std::uint32_t, std::optional<std::string>>;

std::pair<bool, std::vector<Record>> read(ServerList::Kind kind, std::string_view text, std::size_t piece) {
    std::vector<Record> records;
    ServerList list(kind, [&](const maildir::ServerRecord& record) {
        FUZZ_CHECK(!record.base_name.empty() && record.base_name.size() <= 4096);
        FUZZ_CHECK(record.base_name.find_first_of("/:\n") == std::string_view::npos);
        if (kind == ServerList::Kind::dovecot) {
            FUZZ_CHECK(record.uid_validity != 0);
            FUZZ_CHECK(record.uid > (records.empty() ? 0 : std::get<1>(records.back())));
        }
        records.emplace_back(record.base_name, record.uid, record.uid_validity, record.unique_id);
    });
    bool is_good = true;
    for (; is_good && !text.empty(); text.remove_prefix(std::min(piece, text.size())))
        is_good = list.add(text.substr(0, piece)).has_value();
    return {is_good, std::move(records)};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto text = test::as_text(data, size);
    const auto choice = test::take_octet(text);
    const auto kind = choice % 2 == 0 ? ServerList::Kind::dovecot : ServerList::Kind::courier;
    const auto whole = read(kind, text, std::string_view::npos);
    FUZZ_CHECK(read(kind, text, std::size_t{1} + choice / 2) == whole);
    return 0;
}
