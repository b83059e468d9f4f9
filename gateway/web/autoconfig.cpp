#include "gateway/web/autoconfig.hpp"

#include "backends/ascii.hpp"
#include "gateway/web/autodiscover_request.hpp"
#include "gateway/web/html.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <array>
#include <ctime>

namespace popgate::web {

namespace {

constexpr std::size_t longest_address = 320;
constexpr std::string_view declaration = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n";
constexpr std::string_view response_schema =
    "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a";
constexpr std::string_view error_schema = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006";

std::string lower_case(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(), lower);
    return result;
}

bool is_domain(std::string_view text) {
    return !text.empty() && text.size() <= 253 && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    });
}

std::string element(std::string_view name, std::string_view text) {
    const std::string tag(name);
    return "<" + tag + ">" + escape_markup(text) + "</" + tag + ">\n";
}

Response document(unsigned status, std::string_view type, std::string body) {
    Response response;
    response.status = status;
    response.content_type = type;
    response.body = std::move(body);
    response.headers = {{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}};
    return response;
}

Response xml(unsigned status, std::string body) { return document(status, "text/xml; charset=utf-8", std::move(body)); }

Response not_found() { return document(404, "text/plain; charset=utf-8", "There are no settings for that address.\n"); }

Response only(std::string_view methods) {
    auto response = document(405, "text/plain; charset=utf-8", "Method Not Allowed\n");
    response.headers.emplace_back("Allow", methods);
    return response;
}

bool gets(const Request& request) { return request.method == "GET" || request.method == "HEAD"; }

Response autoconfig(const Request& request, const MailSettings& settings, const ServedDomains& domains) {
    if (!gets(request)) return only("GET, HEAD");
    const auto address = request.query.get("emailaddress");
    auto domain = domains.of_address(address);
    if (address.empty()) {
        // Without an address the name that was asked for says whose settings are wanted.
        const auto host = host_of(origin_of("https://" + request.header("host")));
        constexpr std::string_view prefix = "autoconfig.";
        domain = domains.find(host.starts_with(prefix) ? std::string_view(host).substr(prefix.size()) : host);
    }
    return domain ? xml(200, autoconfig_xml(settings, *domain)) : not_found();
}

Response autodiscover(const Request& request, const MailSettings& settings, const ServedDomains& domains) {
    if (request.method != "POST") return only("POST");
    const auto asked = parse_autodiscover_request(request.body);
    if (!asked) return xml(200, autodiscover_error_xml(600, "Invalid request"));
    // Phones ask with the mobilesync schema: for Exchange ActiveSync, which is not here.
    if (asked->response_schema != response_schema)
        return xml(200, autodiscover_error_xml(601, "Requested schema version not supported"));
    if (!domains.of_address(asked->address)) return xml(200, autodiscover_error_xml(500, "Unknown e-mail address"));
    return xml(200, autodiscover_xml(settings, asked->address));
}

Response autodiscover_json(const Request& request, std::string address, const ServedDomains& domains,
                           const std::string& url) {
    if (!gets(request)) return only("GET, HEAD");
    const auto problem = [](unsigned status, std::string_view code, std::string_view message) {
        return document(status, "application/json",
                        boost::json::serialize(boost::json::object{{"ErrorCode", code}, {"ErrorMessage", message}}));
    };
    std::string protocol;
    for (const auto& [name, value] : request.query.all()) {
        if (equal_but_for_case(name, "Email")) address = value;
        if (equal_but_for_case(name, "Protocol")) protocol = value;
    }
    if (address.empty()) return problem(400, "MandatoryParameterMissing", "A valid e-mail address must be provided.");
    if (protocol.empty())
        return problem(400, "MandatoryParameterMissing",
                       "A valid value must be provided for the query parameter 'Protocol'");
    if (!domains.of_address(address)) return problem(404, "UserNotFound", "There are no settings for that address.");
    if (!equal_but_for_case(protocol, "AutodiscoverV1"))
        return problem(400, "InvalidProtocol", "Only 'AutodiscoverV1' is supported here: mail is read by POP3.");
    return document(200, "application/json",
                    boost::json::serialize(boost::json::object{
                        {"Protocol", "AutodiscoverV1"}, {"Url", origin_of(url) + "/autodiscover/autodiscover.xml"}}));
}

}  // namespace

ServedDomains::ServedDomains(std::string_view domains) {
    while (!domains.empty()) {
        const auto end = std::min(domains.find(' '), domains.size());
        const auto each = domains.substr(0, end);
        domains.remove_prefix(std::min(end + 1, domains.size()));
        if (each == "*") any_ = true;
        if (!each.empty()) domains_.push_back(lower_case(each));
    }
}

std::optional<std::string> ServedDomains::of_address(std::string_view address) const {
    const auto at = address.rfind('@');
    if (at == std::string_view::npos || at == 0 || address.size() > longest_address) return std::nullopt;
    return find(address.substr(at + 1));
}

std::optional<std::string> ServedDomains::find(std::string_view domain) const {
    auto name = lower_case(domain);
    if (!is_domain(name) || !(any_ || std::ranges::find(domains_, name) != domains_.end())) return std::nullopt;
    return name;
}

std::string autoconfig_xml(const MailSettings& settings, std::string_view domain) {
    std::string text(declaration);
    text += "<clientConfig version=\"1.1\">\n<emailProvider id=\"" + escape_markup(domain) + "\">\n";
    text += element("domain", domain) + element("displayName", settings.service_name) +
            element("displayShortName", settings.service_name);
    for (const auto& port : settings.ports) {
        if (port.tls == TlsMode::none) continue;
        text += "<incomingServer type=\"pop3\">\n" + element("hostname", settings.host) +
                element("port", std::to_string(port.number)) +
                element("socketType", port.tls == TlsMode::implicit ? "SSL" : "STARTTLS") +
                element("username", "%EMAILADDRESS%") + element("authentication", "password-cleartext") +
                "</incomingServer>\n";
    }
    return text + "</emailProvider>\n</clientConfig>\n";
}

std::string autodiscover_xml(const MailSettings& settings, std::string_view address) {
    std::string text(declaration);
    text += "<Autodiscover xmlns=\"" + std::string(error_schema) + "\">\n<Response xmlns=\"" +
            std::string(response_schema) + "\">\n<User>\n" + element("DisplayName", address) +
            "</User>\n<Account>\n<AccountType>email</AccountType>\n<Action>settings</Action>\n";
    for (const auto& port : settings.ports) {
        if (port.tls == TlsMode::none) continue;
        const bool implicit = port.tls == TlsMode::implicit;
        text += "<Protocol>\n<Type>POP3</Type>\n" + element("Server", settings.host) +
                element("Port", std::to_string(port.number)) + element("LoginName", address) +
                "<DomainRequired>off</DomainRequired>\n<SPA>off</SPA>\n";
        // <SSL> is all that older versions know, and means implicit TLS there; <Encryption> overrides it.
        text += element("SSL", implicit ? "on" : "off") + element("Encryption", implicit ? "SSL" : "TLS") +
                "<AuthRequired>on</AuthRequired>\n</Protocol>\n";
    }
    return text + "</Account>\n</Response>\n</Autodiscover>\n";
}

std::string autodiscover_error_xml(unsigned code, std::string_view message) {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    gmtime_r(&now, &parts);
    std::array<char, 24> time{};
    std::strftime(time.data(), time.size(), "%H:%M:%S.0000000", &parts);
    return std::string(declaration) + "<Autodiscover xmlns=\"" + std::string(error_schema) +
           "\">\n<Response>\n<Error Time=\"" + time.data() + "\" Id=\"0\">\n" +
           element("ErrorCode", std::to_string(code)) + element("Message", message) +
           "<DebugData/>\n</Error>\n</Response>\n</Autodiscover>\n";
}

std::optional<Response> answer_mail_program(const Request& request, const MailSettings& settings,
                                            const ServedDomains& domains, const std::string& url) {
    const auto path = lower_case(request.path);  // Outlook's capitals vary
    if (path == "/mail/config-v1.1.xml" || path == "/.well-known/autoconfig/mail/config-v1.1.xml")
        return autoconfig(request, settings, domains);
    if (path == "/autodiscover/autodiscover.xml") return autodiscover(request, settings, domains);
    constexpr std::string_view json = "/autodiscover/autodiscover.json";
    if (path == json) return autodiscover_json(request, {}, domains, url);
    constexpr std::string_view version = "/v1.0/";
    if (path.starts_with(json) && std::string_view(path).substr(json.size()).starts_with(version)) {
        // The address is a part of the path there, its '@' perhaps encoded.
        const auto fields = parse_form(request.path.substr(json.size() + version.size()));
        const auto address = fields && fields->size() == 1 ? fields->all()[0].first : std::string();
        return autodiscover_json(request, address, domains, url);
    }
    return std::nullopt;
}

}  // namespace popgate::web
