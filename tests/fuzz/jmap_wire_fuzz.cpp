// What a JMAP server may say: nothing of it may crash, and a state that was written is read back.
#include "backends/jmap/srv.hpp"
#include "backends/jmap/wire.hpp"
#include "tests/fuzz/check.hpp"

#include <boost/json/parse.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

using namespace popgate::jmap;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto session = parse_session(text)) {
        FUZZ_CHECK(session->limits.objects_in_get > 0 && session->limits.objects_in_set > 0);
        for (const auto& account : session->accounts) FUZZ_CHECK(*choose_account(*session, account.id) == account.id);
        (void)choose_account(*session, "");
    }
    (void)parse_problem(text);
    if (const auto state = parse_listing_state(text)) FUZZ_CHECK(parse_listing_state(to_text(*state)) == state);
    if (const auto target = parse_srv_answer(text)) {
        FUZZ_CHECK(!target->host.empty() && target->port != 0);
        FUZZ_CHECK(is_trusted(*target, target->host));
    }
    const auto answers = parse_response(text, {{"Email/get", {}}, {"Email/changes", {}}});
    if (!answers) return 0;
    for (const auto& answer : *answers) {
        if (!answer.error.empty()) (void)to_error(answer.error, "x");
        if (const auto folders = parse_folders(answer.arguments)) {
            for (const auto& folder : *folders) (void)find_folder(*folders, folder.name + "/" + folder.name);
            (void)find_role(*folders, "inbox");
        }
        (void)parse_emails(answer.arguments);
        (void)parse_query(answer.arguments);
        (void)parse_changes(answer.arguments);
        (void)parse_set(answer.arguments);
    }
    return 0;
}
