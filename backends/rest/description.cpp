#include "backends/rest/description.hpp"

#include "backends/http/credential.hpp"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <utility>

namespace popgate::rest {

namespace {

using Names = std::initializer_list<std::string_view>;

class Checker {
public:
    explicit Checker(const Description& description) : of_(description) {}

    std::vector<Problem> check() {
        if (of_.name.empty()) add("name", "is missing");
        if (const auto form = http::CredentialForm::parse(of_.auth); !form) add("auth", form.error().text);
        check_urls();
        check_pages();
        check_pointers();
        check_signs();
        return std::move(problems_);
    }

private:
    void check_urls() {
        if (!of_.folder_list.empty()) check_url("folder_list", of_.folder_list, {});
        need_url("list", of_.list, {"folder", "limit", "offset", "page"});
        need_url("raw", of_.raw, {"folder", "id"});
        need_place("raw", of_.raw, "id");
        need_url("delete", of_.remove.url, {"folder", "id"});
        check_call("delete", of_.remove, false);
        check_call("move", of_.move, true);
        check_call("mark_seen", of_.mark_seen, false);
        if (of_.folder_list.empty()) return;
        if (!has(of_.list, "folder")) add("folder_list", "is without use: \"list\" has no {folder}");
    }

    void check_pages() {
        if (of_.page_size < 1 || of_.page_size > 10'000) add("page_size", "must be from 1 to 10000");
        if (of_.paging == Paging::offset) need_place("list", of_.list, "offset");
        if (of_.paging == Paging::page) need_place("list", of_.list, "page");
        if (of_.paging == Paging::cursor) {
            need_url("list_next", of_.list_next, {"folder", "limit", "cursor"});
            need_place("list_next", of_.list_next, "cursor");
            if (of_.next.empty()) add("next", "is missing: paging = \"cursor\" needs it");
            return;
        }
        if (!of_.list_next.empty()) add("list_next", "goes with paging = \"cursor\" only");
        if (!of_.next.empty()) add("next", "goes with paging = \"cursor\" only");
    }

    void check_pointers() {
        for (const auto& [key, pointer] : {std::pair<const char*, const std::string&>{"folders", of_.folders},
                                           {"folder_id", of_.folder_id},
                                           {"folder_name", of_.folder_name},
                                           {"folder_use", of_.folder_use},
                                           {"messages", of_.messages},
                                           {"id", of_.id},
                                           {"size", of_.size},
                                           {"date", of_.date},
                                           {"seen", of_.seen},
                                           {"next", of_.next},
                                           {"total", of_.total}}) {
            std::vector<std::string> tokens;
            if (!split_pointer(pointer, tokens))
                add(key, '"' + pointer + "\" is no JSON pointer, as \"/id\" or \"/data/messages\"");
        }
        if (of_.id.empty()) add("id", "is missing");
        if (of_.sizes_are_exact && of_.size.empty()) add("sizes_are_exact", "there is no \"size\" that could be exact");
    }

    void check_signs() {
        for (const auto& [key, sign] :
             {std::pair<const char*, const std::string&>{"gone", of_.gone}, {"gone_too", of_.gone_too}}) {
            if (sign.empty()) continue;
            const auto parsed = parse_sign(sign);
            if (parsed.status < 400)
                add(key, '"' + sign + "\" is no status with or without a text, as \"404\" or \"500 Email not found\"");
            // Any trouble of the server would otherwise pass for a message that is no longer there.
            else if (parsed.text.empty() && parsed.status != 404 && parsed.status != 410)
                add(key, "a status but 404 and 410 needs a text, as \"500 Email not found\"");
        }
        if (of_.refused != 400 && of_.refused != 401 && of_.refused != 403) add("refused", "must be 400, 401 or 403");
    }

    void check_call(const std::string& key, const Call& call, bool moves) {
        if (call.url.empty()) return;
        check_url(key, call.url, moves ? Names{"folder", "id", "target"} : Names{"folder", "id"});
        if (call.method != "DELETE" && call.method != "POST" && call.method != "PUT" && call.method != "PATCH")
            add(key + "_method", "must be DELETE, POST, PUT or PATCH");
        const bool names_message = has(call.url, "id") || has(call.body, "id") || has(call.body, "ids");
        // Some servers delete everything where no message is named.
        if (!names_message) add(key, "names no message: {id}, or {ids} in its body, is needed");
        if (has(call.url, "id") && has(call.body, "ids")) add(key + "_body", "{ids} does not go with {id} in the URL");
        if (moves && !has(call.url, "target") && !has(call.body, "target")) add(key, "{target} is missing");
    }

    void need_url(const std::string& key, const std::string& url, Names names) {
        if (url.empty()) return add(key, "is missing");
        check_url(key, url, names);
    }

    void need_place(const std::string& key, const std::string& url, std::string_view name) {
        if (!url.empty() && !has(url, name)) add(key, "{" + std::string(name) + "} is missing");
    }

    void check_url(const std::string& key, const std::string& url, Names names) {
        if (!url.starts_with('/')) add(key, "must begin with \"/\"");
        if (std::ranges::any_of(url, [](char c) { return c <= ' ' || c > '~' || c == '#'; }))
            add(key, "may hold visible ASCII only, and no #");
        for (std::size_t at = 0; (at = url.find_first_of("{}", at)) != std::string::npos; ++at) {
            const auto end = url.find('}', at);
            if (url[at] == '}' || end == std::string::npos)
                return add(key, "has a brace that is not closed, or not open");
            const auto name = url.substr(at + 1, end - at - 1);
            if (std::ranges::find(names, name) == names.end()) add(key, "{" + name + "} is unknown here");
            at = end;
        }
        for (std::size_t at = 0; (at = url.find('%', at)) != std::string::npos; ++at) {
            const auto is_hex = [](char c) {
                return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
            };
            const auto rest = std::string_view(url).substr(at + 1);
            const bool is_name = !rest.empty() && std::string_view("und").find(rest[0]) != std::string_view::npos;
            const bool is_octet = rest.size() >= 2 && is_hex(rest[0]) && is_hex(rest[1]);
            if (!is_name && !is_octet) add(key, "has a % that is neither %u, %n or %d nor an encoded octet");
            if (rest.starts_with('d') && is_octet)
                add(key, "%" + std::string(rest.substr(0, 2)) +
                             " is the domain or an encoded octet: the octet is written %D" + rest[1]);
        }
    }

    static bool has(const std::string& text, std::string_view name) {
        return text.find("{" + std::string(name) + "}") != std::string::npos;
    }

    void add(std::string key, std::string text) { problems_.push_back({std::move(key), std::move(text)}); }

    const Description& of_;
    std::vector<Problem> problems_;
};

Description wildduck() {
    Description api;
    api.name = "wildduck";
    api.auth = "header X-Access-Token";
    api.folder_list = "/users/me/mailboxes";
    api.folders = "/results";
    api.folder_name = "/path";
    api.list = "/users/me/mailboxes/{folder}/messages?limit={limit}&order=asc";
    api.list_next = api.list + "&next={cursor}";
    api.paging = Paging::cursor;
    api.page_size = 250;
    api.messages = "/results";
    api.date = "/idate";
    api.seen = "/seen";
    api.next = "/nextCursor";
    api.total = "/total";
    api.ids_are_of_folder = true;
    const std::string message = "/users/me/mailboxes/{folder}/messages/{id}";
    api.raw = message + "/message.eml";
    api.remove = {"DELETE", message, {}};
    api.move = {"PUT", message, R"({"moveTo":{target}})"};
    api.mark_seen = {"PUT", message, R"({"seen":true})"};
    api.refused = 403;
    return api;
}

Description mailpit() {
    Description api;
    api.name = "mailpit";
    api.is_one_mailbox = true;
    api.list = "/api/v1/messages?start={offset}&limit={limit}";
    api.paging = Paging::offset;
    api.page_size = 200;
    api.messages = "/messages";
    api.id = "/ID";
    api.size = "/Size";
    api.date = "/Created";
    api.seen = "/Read";
    api.total = "/total";
    api.raw = "/api/v1/message/{id}/raw";
    api.remove = {"DELETE", "/api/v1/messages", R"({"IDs":{ids}})"};
    api.mark_seen = {"PUT", "/api/v1/messages", R"({"IDs":{ids},"Read":true})"};
    return api;
}

Description maildev() {
    Description api;
    api.name = "maildev";
    api.is_one_mailbox = true;
    // Its sizes are those of files that are still being written, its times the sender's; the list is as it came.
    api.list = "/email";
    api.seen = "/read";
    api.raw = "/email/{id}/source";
    api.remove = {"DELETE", "/email/{id}", {}};
    api.gone_too = "500 Email not found";
    return api;
}

}  // namespace

std::vector<Problem> check(const Description& description) { return Checker(description).check(); }

const std::vector<Description>& presets() {
    static const std::vector<Description> all = {maildev(), mailpit(), wildduck()};
    return all;
}

const Description* find_preset(std::string_view name) {
    const auto found = std::ranges::find(presets(), name, &Description::name);
    return found == presets().end() ? nullptr : &*found;
}

bool split_pointer(std::string_view pointer, std::vector<std::string>& tokens) {
    tokens.clear();
    if (pointer.empty()) return true;
    if (pointer.front() != '/') return false;
    for (std::size_t i = 0; i < pointer.size(); ++i) {
        if (pointer[i] == '/') {
            tokens.emplace_back();
        } else if (pointer[i] == '~') {
            if (++i == pointer.size() || (pointer[i] != '0' && pointer[i] != '1')) return false;
            tokens.back() += pointer[i] == '0' ? '~' : '/';
        } else {
            tokens.back() += pointer[i];
        }
    }
    return true;
}

Sign parse_sign(std::string_view text) {
    Sign sign;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), sign.status);
    const auto rest = text.substr(static_cast<std::size_t>(end - text.data()));
    if (error != std::errc() || sign.status > 599 || (!rest.empty() && (rest[0] != ' ' || rest.size() < 2))) return {};
    if (!rest.empty()) sign.text = rest.substr(1);
    return sign;
}

}  // namespace popgate::rest
