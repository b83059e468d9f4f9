#include "gateway/index/retired_ids.hpp"

#include "backends/unique_id_format.hpp"

#include <utility>

namespace popgate {

namespace {

std::string returned(const std::string& unique_id, std::uint32_t times) {
    return fit_unique_id(unique_id + "-" + std::to_string(times));
}

/// How often the id had been retired when the message was first seen.
std::uint32_t times_before(const MessageInfo& message, std::uint32_t so_far,
                           const std::function<std::string(const MessageInfo&)>& derive) {
    if (message.unique_id.empty()) return 0;
    const auto derived = derive(message);
    for (auto times = so_far; times > 0; --times)
        if (returned(derived, times) == message.unique_id.str()) return times;
    return so_far;  // an id of another make: once more is never wrong
}

}  // namespace

void name_returned(std::vector<StoredMessage>& messages, std::uint32_t first, const RetiredIds& retired,
                   const std::function<std::string(const MessageInfo&)>& derive) {
    if (retired.empty()) return;
    for (auto& each : messages) {
        if (each.number < first) continue;
        const auto found = retired.find(each.info.id);
        if (found == retired.end()) continue;
        each.info.unique_id =
            returned(each.info.unique_id.empty() ? derive(each.info) : each.info.unique_id.str(), found->second);
    }
}

RetiredIds count_retired(const std::vector<MessageInfo>& gone, const RetiredIds& so_far,
                         const std::function<std::string(const MessageInfo&)>& derive) {
    RetiredIds counted;
    for (const auto& each : gone) {
        const auto found = so_far.find(each.id);
        const auto before = found == so_far.end() ? 0 : times_before(each, found->second, derive);
        counted.emplace(each.id, before + 1);
    }
    return counted;
}

void keep_from_returned(std::map<std::string, std::string, std::less<>>& imported, const RetiredIds& retired) {
    for (const auto& [id, times] : retired) {
        auto entry = imported.extract(id);
        if (entry.empty()) continue;
        entry.key() += '\0';  // no message's
        imported.insert(std::move(entry));
    }
}

}  // namespace popgate
