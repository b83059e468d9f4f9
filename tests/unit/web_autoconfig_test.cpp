#include "gateway/web/autoconfig.hpp"

#include "gateway/web/autodiscover_request.hpp"

#include <boost/asio/ip/address.hpp>

#include <gtest/gtest.h>

#include <string>

namespace popgate::web {
namespace {

const MailSettings settings{"pop.example.com",
                            {{995, TlsMode::implicit}, {110, TlsMode::starttls}, {10110, TlsMode::none}},
                            "Tom & Jerry's <mail>"};
const std::string schema = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a";

/// As Outlook writes it.
std::string outlook(const std::string& address, const std::string& wanted = schema) {
    return "<?xml version=\"1.0\" encoding=\"utf-8\"?><Autodiscover "
           "xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006\"><Request>"
           "<EMailAddress>" +
           address + "</EMailAddress><AcceptableResponseSchema>" + wanted +
           "</AcceptableResponseSchema></Request></Autodiscover>";
}

Request request(std::string method, const std::string& target, std::string body = {}) {
    Request made;
    made.method = std::move(method);
    made.path = target.substr(0, target.find('?'));
    if (const auto query = target.find('?'); query != std::string::npos)
        made.query = *parse_form(target.substr(query + 1));
    made.body = std::move(body);
    return made;
}

std::optional<Response> ask(const Request& what, const std::string& domains = "example.com Example.ORG") {
    return answer_mail_program(what, settings, ServedDomains(domains), "https://mail.example.com:8443/");
}

bool has(const std::optional<Response>& response, std::string_view text) {
    return response && response->body.find(text) != std::string::npos;
}

TEST(MailSettings, EncryptedPortsComeFirstAndLoopbackNotAtAll) {
    EnrolmentConfig enrolment;
    enrolment.url = "https://Mail.Example.com:8443/x";
    const auto listener = [](std::string_view address, std::uint16_t port, TlsMode tls) {
        ListenConfig config;
        config.tls = tls;
        return BoundListener(config, {boost::asio::ip::make_address(address), port});
    };
    const auto made =
        mail_settings(enrolment, {listener("0.0.0.0", 110, TlsMode::none), listener("0.0.0.0", 1110, TlsMode::starttls),
                                  listener("127.0.0.1", 9999, TlsMode::implicit),
                                  listener("0.0.0.0", 995, TlsMode::implicit), listener("::", 995, TlsMode::implicit)});
    EXPECT_EQ(made.host, "mail.example.com");
    EXPECT_EQ(made.ports, (std::vector<MailSettings::Port>{
                              {995, TlsMode::implicit}, {1110, TlsMode::starttls}, {110, TlsMode::none}}));
    EXPECT_EQ(mail_settings(enrolment, {listener("127.0.0.1", 1995, TlsMode::implicit)}).ports.size(), 1u);
}

TEST(Origin, IsOfAUrl) {
    EXPECT_EQ(origin_of("https://Mail.example.com:443/a?b"), "https://mail.example.com");
    EXPECT_EQ(origin_of("http://[::1]:8080"), "http://[::1]:8080");
    EXPECT_EQ(origin_of("null"), "");
    EXPECT_EQ(host_of("http://[::1]:8080"), "::1");
    EXPECT_EQ(host_of("https://a.example"), "a.example");
}

TEST(Autoconfig, TellsTheEncryptedPortsOfADomain) {
    for (const auto* path : {"/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml"}) {
        const auto answer = ask(request("GET", std::string(path) + "?emailaddress=alice%40EXAMPLE.com"));
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->status, 200u);
        EXPECT_TRUE(has(answer, "<domain>example.com</domain>"));
        EXPECT_TRUE(has(answer, "<port>995</port>\n<socketType>SSL</socketType>"));
        EXPECT_TRUE(has(answer, "<port>110</port>\n<socketType>STARTTLS</socketType>"));
        EXPECT_FALSE(has(answer, "10110")) << "in clear";
        EXPECT_TRUE(has(answer, "Tom &amp; Jerry&#39;s &lt;mail&gt;"));
    }
}

TEST(Autoconfig, OnlyForServedDomains) {
    const std::string path = "/mail/config-v1.1.xml?emailaddress=";
    EXPECT_EQ(ask(request("GET", path + "a%40example.org"))->status, 200u);
    for (const auto* address : {"a%40other.example", "a%40example.com.", "example.com", "%40example.com",
                                "a%40example.com%3Cx", "a%40", "a%40b%40other.example"})
        EXPECT_EQ(ask(request("GET", path + address))->status, 404u) << address;
    EXPECT_EQ(ask(request("GET", path + "a%40other.example"), "*")->status, 200u);
    EXPECT_EQ(ask(request("GET", path + "a%40other.example"), "")->status, 404u);
    EXPECT_EQ(ask(request("GET", path + "a%40%3Cscript%3E"), "*")->status, 404u);
    EXPECT_EQ(ask(request("POST", path + "a%40example.com"))->status, 405u);
}

TEST(Autoconfig, WithoutAnAddressTheHostSaysTheDomain) {
    auto asked = request("GET", "/mail/config-v1.1.xml");
    asked.headers.add("host", "autoconfig.example.org");
    EXPECT_TRUE(has(ask(asked), "<domain>example.org</domain>"));
    EXPECT_EQ(ask(request("GET", "/mail/config-v1.1.xml"))->status, 404u);
}

TEST(Autodiscover, AnswersOutlook) {
    for (const auto* path : {"/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml"}) {
        const auto answer = ask(request("POST", path, outlook("al&amp;ice@example.com")));
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->status, 200u);
        EXPECT_TRUE(has(answer, "<LoginName>al&amp;ice@example.com</LoginName>"));
        EXPECT_LT(answer->body.find("<Port>995</Port>"), answer->body.find("<Port>110</Port>"));
        EXPECT_TRUE(has(answer, "<SSL>on</SSL>\n<Encryption>SSL</Encryption>"));
        EXPECT_FALSE(has(answer, "10110"));
        EXPECT_TRUE(has(answer, "<Response xmlns=\"" + schema + "\">"));
    }
    EXPECT_EQ(ask(request("GET", "/autodiscover/autodiscover.xml"))->status, 405u);
}

TEST(Autodiscover, SaysWhatIsWrong) {
    const auto code = [](const std::string& body) {
        const auto answer = ask(request("POST", "/autodiscover/autodiscover.xml", body));
        const auto place = answer->body.find("<ErrorCode>");
        return place == std::string::npos ? std::string() : answer->body.substr(place + 11, 3);
    };
    EXPECT_EQ(code("rubbish"), "600");
    EXPECT_EQ(code(""), "600");
    EXPECT_EQ(code(outlook("a@example.com",
                           "http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006")),
              "601");
    EXPECT_EQ(code(outlook("a@other.example")), "500");
    EXPECT_EQ(code(outlook("a@example.com")), "");
}

TEST(AutodiscoverRequest, PrefixesCommentsAndSpacesDoNotMatter) {
    const auto parsed = parse_autodiscover_request(
        "\xEF\xBB\xBF<?xml version='1.0'?>\n<!-- hello -->\n<a:Autodiscover xmlns:a=\"u\">\n <a:Request>\n"
        "  <a:EMailAddress> a@b.example\n</a:EMailAddress><LegacyDN/>\n"
        "  <a:AcceptableResponseSchema>s</a:AcceptableResponseSchema></a:Request></a:Autodiscover>\n");
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->address, "a@b.example");
    EXPECT_EQ(parsed->response_schema, "s");
}

TEST(AutodiscoverRequest, MoreThanThatIsRefused) {
    const auto good = outlook("a@b.example");
    ASSERT_TRUE(parse_autodiscover_request(good));
    EXPECT_FALSE(parse_autodiscover_request("<!DOCTYPE x [<!ENTITY a \"b\">]>" + good));
    EXPECT_FALSE(parse_autodiscover_request(outlook("&a;")));
    EXPECT_FALSE(parse_autodiscover_request(outlook("a&#10;b@c")));
    EXPECT_FALSE(parse_autodiscover_request(outlook("a&#0;b@c")));
    EXPECT_FALSE(parse_autodiscover_request(outlook("")));
    EXPECT_FALSE(parse_autodiscover_request(outlook("<b/>a@c")));
    EXPECT_FALSE(parse_autodiscover_request(outlook("a@c</EMailAddress><EMailAddress>d@e")));
    EXPECT_FALSE(parse_autodiscover_request(outlook(std::string(2000, 'a'))));
    EXPECT_FALSE(parse_autodiscover_request(good + good));
    for (std::size_t i = 0; i < good.size(); ++i) EXPECT_FALSE(parse_autodiscover_request(good.substr(0, i))) << i;
    std::string deep;
    for (int i = 0; i < 100'000; ++i) deep += "<a>";
    EXPECT_FALSE(parse_autodiscover_request(deep));
}

TEST(AutodiscoverJson, PointsToTheOtherDocumentAndSaysWhatIsNotThere) {
    const std::string path = "/autodiscover/autodiscover.json";
    EXPECT_TRUE(has(ask(request("GET", path + "?Email=a%40example.com&Protocol=Autodiscoverv1")),
                    "\"Url\":\"https://mail.example.com:8443/autodiscover/autodiscover.xml\""));
    EXPECT_TRUE(has(ask(request("GET", path + "/v1.0/a%40example.com?Protocol=AutodiscoverV1")), "\"Url\""));
    EXPECT_TRUE(has(ask(request("GET", path + "?Email=a%40example.com&Protocol=EWS")), "InvalidProtocol"));
    EXPECT_EQ(ask(request("GET", path + "?Email=a%40other.example&Protocol=AutodiscoverV1"))->status, 404u);
    EXPECT_EQ(ask(request("GET", path + "?Protocol=AutodiscoverV1"))->status, 400u);
    EXPECT_EQ(ask(request("GET", path + "?Email=a%40example.com"))->status, 400u);
    EXPECT_FALSE(ask(request("GET", "/autodiscover/autodiscover.jsonx")));
    EXPECT_FALSE(ask(request("GET", "/devices")));
}

}  // namespace
}  // namespace popgate::web
