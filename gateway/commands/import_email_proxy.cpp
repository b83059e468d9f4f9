#include "gateway/commands/import_email_proxy.hpp"

#include "backends/ascii.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace popgate::commands {

namespace {

constexpr std::size_t longest_file = 4 * 1024 * 1024;

struct Section {
    std::string name;
    std::map<std::string, std::string, std::less<>> values;  // keys in lower case

    std::string get(std::string_view key) const {
        const auto found = values.find(key);
        return found == values.end() ? std::string() : found->second;
    }
};

std::string_view trimmed(std::string_view text) {
    const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v'; };
    while (!text.empty() && blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && blank(text.back())) text.remove_suffix(1);
    return text;
}

std::string lowered(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), lower);
    return out;
}

/// Sections, "key = value" or "key: value", comments of whole lines, and values that go on in lines that are indented.
Result<std::vector<Section>> read_ini(std::string_view text) {
    const auto bad = [](unsigned line, const std::string& what) {
        return Error{Errc::permanent, "line " + std::to_string(line) + ": " + what, {}};
    };
    if (text.size() > longest_file) return Error{Errc::permanent, "is longer than 4 MiB", {}};
    if (text.find('\0') != std::string_view::npos) return Error{Errc::permanent, "is no text", {}};
    std::vector<Section> sections;
    std::set<std::string> names;
    std::string* last = nullptr;
    for (unsigned number = 1; !text.empty(); ++number) {
        const auto end = text.find('\n');
        const auto line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        const auto content = trimmed(line);
        if (content.empty() || content.front() == '#' || content.front() == ';') continue;
        if (line.front() == ' ' || line.front() == '\t') {
            if (!last) return bad(number, "goes on from nothing");
            if (!last->empty()) *last += ' ';
            *last += content;
            continue;
        }
        last = nullptr;
        if (content.front() == '[') {
            const auto close = content.rfind(']');
            if (close == std::string_view::npos || close < 2) return bad(number, "is no [section]");
            const auto name = content.substr(1, close - 1);
            // As Python's configparser has it: who wrote it twice must say which one holds.
            if (!names.emplace(name).second) return bad(number, "this [section] is there twice");
            sections.push_back({std::string(name), {}});
            continue;
        }
        const auto sign = content.find_first_of("=:");
        if (sign == std::string_view::npos) return bad(number, "is neither a [section] nor key = value");
        if (sections.empty()) return bad(number, "stands before the first [section]");
        const auto [value, is_new] = sections.back().values.emplace(lowered(trimmed(content.substr(0, sign))),
                                                                    trimmed(content.substr(sign + 1)));
        if (!is_new) return bad(number, "this key is in its [section] twice");
        last = &value->second;
    }
    return sections;
}

/// As a basic string of TOML; what cannot be in a configuration is left out.
std::string toml_string(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        const auto octet = static_cast<unsigned char>(c);
        if (octet < 0x20 || octet == 0x7F) continue;
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + '"';
}

/// For a comment or a sentence.
std::string one_line(std::string_view text) {
    std::string out(text.substr(0, 200));
    std::ranges::replace_if(
        out, [](unsigned char c) { return c < 0x20 || c == 0x7F; }, ' ');
    return out;
}

bool is_yes(std::string_view text) {
    const auto word = lowered(text);
    return word == "true" || word == "yes" || word == "on" || word == "1";
}

bool holds(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

bool is_port(std::string_view text) {
    return !text.empty() && text.size() <= 5 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// An IP address, as far as that can be told from a host's name.
bool is_address(std::string_view text) {
    return holds(text, ":") || text.find_first_not_of("0123456789.") == std::string_view::npos;
}

/// "/TENANT/oauth2/…" of Microsoft's addresses.
std::string tenant_of(std::string_view url) {
    const auto host = url.find("login.microsoftonline.com/");
    if (host == std::string_view::npos) return {};
    auto rest = url.substr(host + std::string_view("login.microsoftonline.com/").size());
    return std::string(rest.substr(0, rest.find('/')));
}

class Importer {
public:
    explicit Importer(const std::vector<Section>& sections) : sections_(sections) {}

    Result<ImportedConfig> run() {
        for (const auto& section : sections_) {
            if (const auto dash = section.name.find('-');
                dash != std::string::npos && is_server(section.name.substr(0, dash)))
                add_server(section.name.substr(0, dash), section.name.substr(dash + 1), section);
            else if (!holds(section.name, "@") && !is_of_the_program(section))
                note("[" + one_line(section.name) + "] was not understood and is left out");
        }
        // The servers are known now, wherever they stand. The first route that matches wins: "@domain" comes last.
        for (const bool is_domain : {false, true})
            for (const auto& section : sections_)
                if (holds(section.name, "@") && (section.name.front() == '@') == is_domain) add_account(section);
        if (routes_.empty()) return Error{Errc::permanent, "there is no account in it", {}};
        std::string text = "# Made of an email-oauth2-proxy's configuration; see what was said beside it.\n";
        if (listeners_.empty()) {
            listeners_ = "\n[[listen]]\naddress = \"127.0.0.1:1110\"\ntls = \"none\"\n";
            note("it has no POP server: popgate listens on 127.0.0.1:1110");
        }
        text += listeners_ + oauth_ + routes_;
        for (const auto& step : steps_) note(step);
        return ImportedConfig{std::move(text), std::move(notes_)};
    }

private:
    static bool is_server(std::string_view kind) { return kind == "POP" || kind == "IMAP" || kind == "SMTP"; }

    /// Its own settings, and the headings that hold nothing but their documentation.
    static bool is_of_the_program(const Section& section) {
        const auto name = lowered(section.name);
        return name == "emailproxy" || name == "email-oauth2-proxy" || holds(name, "readme") ||
               (section.values.size() == 1 && section.values.contains("documentation"));
    }

    void note(std::string text) { notes_.push_back(std::move(text)); }

    void add_server(std::string_view kind, std::string_view port, const Section& section) {
        const auto address = section.get("server_address");
        if (kind == "SMTP") return note("SMTP on port " + one_line(port) + " is left out: popgate receives mail only");
        if (kind == "IMAP") {
            if (address.empty()) return note("IMAP on port " + one_line(port) + " has no server_address");
            const bool starttls = is_yes(section.get("server_starttls")) || is_yes(section.get("starttls"));
            const auto server_port = section.get("server_port");
            upstreams_.push_back((starttls ? "imap://" : "imaps://") + address +
                                 (server_port.empty() ? "" : ":" + server_port));
            return;
        }
        if (!is_port(port)) return note("[" + one_line(section.name) + "] names no port and is left out");
        const auto local = section.get("local_address");
        const bool is_here = is_address(local) && !local.empty() && local != "::";
        const auto host = is_here ? local : std::string("127.0.0.1");
        if (!is_here && !local.empty() && local != "localhost")
            note("POP on port " + one_line(port) + " was for " + one_line(local) +
                 ", and is now for this machine alone: see address of the [[listen]]");
        listeners_ += "\n[[listen]]\naddress = " +
                      toml_string((holds(host, ":") ? '[' + host + ']' : host) + ':' + std::string(port)) +
                      "\ntls = \"none\"\n";
        if (!section.get("local_certificate_path").empty())
            note("POP on port " + one_line(port) + " had a certificate: see [tls] and tls of the [[listen]]");
    }

    static bool is_of_microsoft(std::string_view upstream) { return holds(upstream, "office365.com"); }
    static bool is_of_google(std::string_view upstream) {
        return holds(upstream, "gmail.com") || holds(upstream, "googlemail.com");
    }

    /// Where this provider's mail is; empty where that is a guess: a token is for nobody else's server.
    std::string backend_for(std::string_view token_url) const {
        const auto find = [&](const auto& fits) {
            std::vector<std::string> found;
            for (const auto& each : upstreams_)
                if (fits(each) && std::ranges::find(found, each) == found.end()) found.push_back(each);
            return found;
        };
        if (holds(token_url, "microsoftonline.com")) {
            const auto known = find(is_of_microsoft);
            return known.empty() ? "imaps://outlook.office365.com" : known.front();
        }
        if (holds(token_url, "google")) {
            const auto known = find(is_of_google);
            return known.empty() ? "imaps://imap.gmail.com" : known.front();
        }
        const auto others = find([](std::string_view each) { return !is_of_microsoft(each) && !is_of_google(each); });
        return others.size() == 1 ? others.front() : std::string();
    }

    void add_account(const Section& section) {
        const auto token_url = section.get("token_url");
        const auto flow = section.get("oauth2_flow");
        const bool is_domain = section.name.front() == '@';
        if (flow == "password" || flow == "o365_basic")
            note(one_line(section.name) + ": the password flow is no longer allowed; it signs in");
        const auto grant = flow == "client_credentials" ? "client-credentials"
                           : flow == "service_account"  ? "service-account"
                                                        : "account";
        const auto name = provider_for(section, token_url, grant);
        const auto backend = backend_for(token_url);
        // "@domain" stands for all of its addresses.
        const auto match = is_domain ? '*' + section.name : section.name;
        routes_ += "\n[[route]]\nmatch = " + toml_string(match) +
                   "\nbackend = " + toml_string(backend.empty() ? "imaps://imap.example.com" : backend) +
                   "\nauth = \"app-passwords\"\noauth = " + toml_string(name) + '\n';
        if (backend.empty())
            note(one_line(section.name) + ": its mail server is not known; see backend of its [[route]]");
        const auto whom = one_line(is_domain ? "USER" + section.name : section.name);
        const std::string each = is_domain ? ", for each USER" : "";
        if (std::string_view(grant) == "account")
            steps_.push_back("sign in once: popgate account login " + whom + each);
        else
            steps_.push_back("nobody signs in, but programs need a password: popgate account add " + whom +
                             " --app-password LABEL" + each);
        if (std::string_view(grant) == "service-account")
            note(one_line(section.name) + ": save the service account's JSON key in the file that the [[oauth]] names");
    }

    /// The name of the [[oauth]] that says the same; a new one where there is none.
    std::string provider_for(const Section& section, const std::string& token_url, const char* grant) {
        const auto tenant = tenant_of(token_url);
        const bool is_microsoft = !tenant.empty();
        const bool is_google = holds(token_url, "googleapis.com") || holds(token_url, "accounts.google.com");
        std::string text;
        const auto say = [&](std::string_view key, const std::string& value) {
            if (!value.empty()) text += std::string(key) + " = " + toml_string(value) + '\n';
        };
        if (is_microsoft) {
            say("provider", "microsoft");
            if (tenant != "common") say("tenant", tenant);
        } else if (is_google) {
            say("provider", "google");
        } else {
            say("authorization_url", section.get("permission_url"));
            say("token_url", token_url);
        }
        say("grant", grant);
        say("client_id", section.get("client_id"));
        if (std::string_view(grant) == "service-account")
            say("service_account_file", "service-account.json");
        else
            say("client_secret", section.get("client_secret"));
        // What google and microsoft want for IMAP is known; theirs may be for POP, and for sending.
        if (!is_microsoft && !is_google) say("scopes", section.get("oauth2_scope"));
        if (!section.get("client_secret_encrypted").empty())
            note(one_line(section.name) + ": its client secret was encrypted; put it into client_secret_file");
        const auto known = providers_.find(text);
        if (known != providers_.end()) return known->second;
        const std::string kind = is_microsoft ? "microsoft" : is_google ? "google" : "provider";
        auto name = kind + (counts_[kind]++ == 0 ? "" : '-' + std::to_string(counts_[kind]));
        providers_.emplace(text, name);
        oauth_ += "\n[[oauth]]\nname = " + toml_string(name) + '\n' + text;
        return name;
    }

    const std::vector<Section>& sections_;
    std::string listeners_;
    std::string oauth_;
    std::string routes_;
    std::vector<std::string> upstreams_;
    std::vector<std::string> steps_;  // what a person has to do, said last
    std::vector<std::string> notes_;
    std::map<std::string, std::string> providers_;  // by what they say
    std::map<std::string, unsigned> counts_;
};

}  // namespace

Result<ImportedConfig> import_email_proxy(std::string_view text) {
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    const auto sections = read_ini(text);
    if (!sections) return sections.error();
    return Importer(*sections).run();
}

}  // namespace popgate::commands
