#include "backends/jmap/srv.hpp"

#include "gateway/net/blocking_call.hpp"

#include <arpa/nameser.h>
#include <netinet/in.h>
#include <resolv.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <tuple>

namespace popgate::jmap {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t longest_answer = 16 * 1024;
constexpr int seconds_a_try = 2;
constexpr int tries = 2;
constexpr auto patience = 6s;

std::string ask(const std::string& name) {
    struct __res_state state {};
    if (::res_ninit(&state) != 0) return {};
    state.retrans = seconds_a_try;
    state.retry = tries;
    std::string answer(longest_answer, '\0');
    const int length = ::res_nquery(&state, name.c_str(), ns_c_in, ns_t_srv,
                                    reinterpret_cast<unsigned char*>(answer.data()), static_cast<int>(answer.size()));
    ::res_nclose(&state);
    answer.resize(length < 0 ? 0 : std::min(static_cast<std::size_t>(length), longest_answer));
    return answer;
}

}  // namespace

std::optional<SrvTarget> parse_srv_answer(std::string_view octets) {
    const auto* const begin = reinterpret_cast<const unsigned char*>(octets.data());
    ns_msg message{};
    if (octets.size() > longest_answer || ::ns_initparse(begin, static_cast<int>(octets.size()), &message) != 0)
        return std::nullopt;
    std::optional<SrvTarget> best;
    std::tuple<unsigned, int> best_rank;
    for (int i = 0; i < ns_msg_count(message, ns_s_an); ++i) {
        ns_rr record{};
        if (::ns_parserr(&message, ns_s_an, i, &record) != 0) return std::nullopt;
        const auto* const data = ns_rr_rdata(record);
        if (ns_rr_type(record) != ns_t_srv || ns_rr_rdlen(record) < 7) continue;
        const auto number = [&](std::size_t at) { return static_cast<unsigned>(data[at] << 8 | data[at + 1]); };
        std::array<char, NS_MAXDNAME> name{};
        if (::ns_name_uncompress(begin, begin + octets.size(), data + 6, name.data(), name.size()) < 0) continue;
        SrvTarget target{name.data(), static_cast<std::uint16_t>(number(4))};
        while (target.host.ends_with('.')) target.host.pop_back();
        // "." says that there is no such service.
        if (target.host.empty() || target.port == 0) continue;
        for (auto& c : target.host)
            if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
        const std::tuple rank(number(0), -static_cast<int>(number(2)));
        if (best && best_rank <= rank) continue;
        best = std::move(target);
        best_rank = rank;
    }
    return best;
}

bool is_trusted(const SrvTarget& target, std::string_view host) {
    std::string name(host);
    for (auto& c : name)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
    return target.host == name || target.host.ends_with("." + name);
}

std::optional<SrvTarget> look_up_srv(Fiber& fiber, const std::string& host) {
    const auto answer = blocking_call(
        fiber, Clock::now() + patience, [name = "_jmap._tcp." + host] { return ask(name); }, Blocking::names);
    if (!answer || answer->empty()) return std::nullopt;
    return parse_srv_answer(*answer);
}

}  // namespace popgate::jmap
