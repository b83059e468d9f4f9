#include "backends/http/url.hpp"

#include <gtest/gtest.h>

namespace popgate::http {
namespace {

TEST(HttpUrl, IsTakenApartAndItsTargetLeftAsItIs) {
    const auto url = parse_url("HTTPS://Mail.Example.COM/a%2Fb/$x?$filter=a|b'c&x=%20#part");
    ASSERT_TRUE(url);
    EXPECT_EQ(url->origin.to_string(), "https://mail.example.com:443");
    EXPECT_EQ(url->target, "/a%2Fb/$x?$filter=a|b'c&x=%20");
    EXPECT_EQ(parse_url("http://[::1]:8080")->origin.host, "::1");
    EXPECT_EQ(parse_url("http://[::1]:8080")->to_string(), "http://[::1]:8080/");
    EXPECT_EQ(parse_url("https://h?q=1")->target, "/?q=1");
}

TEST(HttpUrl, RefusesWhatIsNoWayToAnOrigin) {
    for (const char* text :
         {"", "ftp://h/", "https:/h", "//h/x", "https://", "https://user@h/", "https://u:p@h/", "https://h:0/",
          "https://h:99999/", "https://h/a b", "https://h/\r\nX: y", "https://h\x80/", "/path"})
        EXPECT_FALSE(parse_url(text)) << text;
}

TEST(HttpUrl, ResolvesReferences) {
    const auto base = *parse_url("https://h:8443/jmap/session?x=1");
    const auto at = [&](std::string_view reference) {
        const auto url = resolve(base, reference);
        return url ? url->to_string() : "refused";
    };
    EXPECT_EQ(at("/jmap/"), "https://h:8443/jmap/");
    EXPECT_EQ(at("api"), "https://h:8443/jmap/api");
    EXPECT_EQ(at("../up?y=2"), "https://h:8443/up?y=2");
    EXPECT_EQ(at("?y=2"), "https://h:8443/jmap/session?y=2");
    EXPECT_EQ(at(""), "https://h:8443/jmap/session?x=1");
    EXPECT_EQ(at("//other/x"), "https://other:443/x");
    EXPECT_EQ(at("http://other/x"), "http://other:80/x");
    EXPECT_EQ(at("javascript:alert(1)"), "refused");
    EXPECT_EQ(at("/a b"), "refused");
}

TEST(HttpUrl, FillsTemplates) {
    EXPECT_EQ(encode_component("a b/c@d~é"), "a%20b%2Fc%40d~%C3%A9");
    EXPECT_EQ(
        expand_template("/d/{a}/{b}?accept={type}&{none}", {{"a", "x/y"}, {"b", "z"}, {"type", "message/rfc822"}}),
        "/d/x%2Fy/z?accept=message%2Frfc822&");
    EXPECT_EQ(expand_template("no {end", {}), "no {end");
}

}  // namespace
}  // namespace popgate::http
