#include "backends/graph/api.hpp"

#include "backends/ascii.hpp"

#include <algorithm>
#include <optional>

namespace popgate::graph {

namespace {

constexpr std::string_view well_known[] = {
    "archive",   "clutter",       "conflicts",     "conversationhistory", "deleteditems", "drafts",
    "inbox",     "junkemail",     "localfailures", "msgfolderroot",       "outbox",       "recoverableitemsdeletions",
    "scheduled", "searchfolders", "sentitems",     "serverfailures",      "syncissues",
};
constexpr int most_pages = 1000;
constexpr std::size_t page_size = 100;

Error no_such_folder() { return {Errc::gone, "there is no such folder", {}}; }

Error failure(const Api& api, const http::Response& response) {
    auto error = api.failure(response, "the folder cannot be opened");
    if (response.status == 404 && error.code != Errc::permanent) error.code = Errc::gone;
    return error;
}

/// Nothing where there is none of that name.
Result<std::optional<Folder>> find_child(Api& api, const std::string& children, std::string_view name) {
    std::optional<Folder> found;
    auto url = api.url(children + "?$select=id,displayName,totalItemCount&$top=" + std::to_string(page_size));
    for (int pages = 0; pages < most_pages; ++pages) {
        const auto answered = api.get(url, page_size);
        if (!answered) return answered.error();
        if (!answered->ok()) return failure(api, *answered);
        auto page = parse_folders(answered->body);
        if (!page) return page.error();
        for (auto& each : page->folders) {
            if (each.id.empty() || !equal_but_for_case(each.name, name)) continue;
            if (!found || each.name == name) found = std::move(each);
        }
        if (page->next_link.empty()) return found;
        auto next = api.follow(page->next_link);
        if (!next) return next.error();
        url = std::move(*next);
    }
    return Error{Errc::temporary, "the mail server does not answer as it should", "no end of folders"};
}

}  // namespace

Result<Folder> find_folder(Api& api, std::string_view name) {
    const auto take_name = [&] {
        const auto end = std::min(name.find('/'), name.size());
        const auto first = name.substr(0, end);
        name.remove_prefix(std::min(end + 1, name.size()));
        return first;
    };
    const auto first = take_name();
    const bool is_inbox = equal_but_for_case(first, "inbox");
    Folder folder;
    std::string children = "/mailFolders";
    if (is_inbox || std::ranges::find(well_known, first) != std::end(well_known)) {
        const auto known = is_inbox ? std::string("inbox") : std::string(first);
        const auto answered = api.get(api.url("/mailFolders/" + known + "?$select=id,totalItemCount"));
        if (!answered) return answered.error();
        if (!answered->ok()) return failure(api, *answered);
        auto parsed = parse_folder(answered->body);
        if (!parsed) return parsed.error();
        folder = std::move(*parsed);
    } else {
        auto found = find_child(api, children, first);
        if (!found) return found.error();
        if (!*found) return no_such_folder();
        folder = std::move(**found);
    }
    while (!name.empty()) {
        children = "/mailFolders/" + http::encode_component(folder.id) + "/childFolders";
        auto found = find_child(api, children, take_name());
        if (!found) return found.error();
        if (!*found) return no_such_folder();
        folder = std::move(**found);
    }
    return folder;
}

}  // namespace popgate::graph
