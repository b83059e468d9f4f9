#include "gateway/web/enrolment.hpp"

#include "tests/support/fake_people.hpp"
#include "tests/support/on_fiber.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace popgate::web {
namespace {

using namespace std::chrono_literals;
using test::FakePeople;
using test::FakeProvider;

/// The pages, their people, and a clock.
struct Place {
    Place() {
        Enrolment::Options options;
        options.url = "https://mail.example.com";
        options.settings = {"pop.example.com", {{995, TlsMode::implicit}}, "Example Mail"};
        options.now = [this] { return now; };
        pages = std::make_unique<Enrolment>(options, people);
    }
    Clock::time_point now{24h};
    FakePeople people;
    std::unique_ptr<Enrolment> pages;
};

/// A browser, as far as the pages see one.
struct Browser {
    Browser(Place& whose, Fiber& on) : place(whose), fiber(on) {}

    Response send(std::string method, const std::string& target, const std::string& form = {},
                  const std::map<std::string, std::string>& more = {}) {
        Request request;
        request.method = std::move(method);
        request.path = target.substr(0, target.find('?'));
        if (const auto query = target.find('?'); query != std::string::npos)
            request.query = *parse_form(target.substr(query + 1));
        request.form = *parse_form(form);
        request.address = address;
        std::map<std::string, std::string> headers = {{"host", "mail.example.com"}};
        for (const auto& [name, value] : more) headers[name] = value;
        for (const auto& [name, value] : headers) request.headers.add(name, value);
        for (const auto& [name, value] : cookies) request.cookies.add(name, value);
        auto response = place.pages->handle(fiber, request);
        for (const auto& [name, value] : response.headers) {
            if (name != "Set-Cookie") continue;
            const auto pair = value.substr(0, value.find(';'));
            const auto cookie = pair.substr(0, pair.find('='));
            cookies[cookie] = pair.substr(pair.find('=') + 1);
            if (cookies[cookie].empty()) cookies.erase(cookie);
            last_cookie = value;
        }
        if (const auto field = response.body.find("name=\"token\" value=\""); field != std::string::npos)
            token = response.body.substr(field + 20, 64);
        return response;
    }
    Response get(const std::string& target) { return send("GET", target); }
    Response post(const std::string& path, const std::string& form = {}) {
        return send("POST", path, "token=" + token + "&" + form);
    }
    /// To the provider; the state that it was given.
    std::string leave() {
        get("/");
        return state_of(post("/sign-in", "provider=example"));
    }
    static std::string state_of(const Response& response) {
        const auto url = location(response);
        const auto begin = url.find("state=") + 6;
        return url.substr(begin, url.find('&') - begin);
    }
    Response come_back(const std::string& state, const std::string& code = "alice@example.com") {
        return get("/callback?state=" + state + "&code=" + code);
    }
    Response sign_in(const std::string& who = "alice@example.com") {
        auto response = come_back(leave(), who);
        get("/devices");
        return response;
    }
    static std::string location(const Response& response) {
        for (const auto& [name, value] : response.headers)
            if (name == "Location") return value;
        return {};
    }

    Place& place;
    Fiber& fiber;
    std::map<std::string, std::string> cookies;
    std::string token;
    std::string address = "192.0.2.1";
    std::string last_cookie;
};

void visit(const std::function<void(Place&, Browser&)>& body) {
    test::on_fiber([&](Fiber& fiber) {
        Place place;
        Browser browser(place, fiber);
        body(place, browser);
    });
}

bool says(const Response& response, std::string_view text) { return response.body.find(text) != std::string::npos; }

constexpr auto session = "__Host-popgate-session";

TEST(Enrolment, FromSignInToARevokedPassword) {
    visit([](Place& place, Browser& browser) {
        EXPECT_EQ(Browser::location(browser.get("/devices")), "/") << "nobody is signed in";
        auto left = browser.leave();
        EXPECT_EQ(left, "state-1");
        auto back = browser.come_back(left);
        EXPECT_EQ(back.status, 303u);
        EXPECT_EQ(Browser::location(back), "/devices");
        EXPECT_TRUE(says(browser.get("/devices"), "alice@example.com"));
        auto made = browser.post("/devices", "label=Office+printer");
        EXPECT_EQ(Browser::location(made), "/new-password");
        EXPECT_EQ(browser.send("HEAD", "/new-password").status, 204u) << "that does not use it up";
        const auto shown = browser.get("/new-password");
        EXPECT_TRUE(says(shown, "abcd-efgh-jkmn-pqr1"));
        EXPECT_FALSE(says(shown, "?lang=")) << "a link to what cannot be had again";
        EXPECT_FALSE(says(browser.get("/new-password"), "abcd-efgh")) << "shown once";
        EXPECT_TRUE(says(browser.get("/devices"), "Office printer"));
        browser.post("/revoke", "id=id1");
        EXPECT_TRUE(place.people.kept["alice@example.com"].empty());
        browser.post("/sign-out");
        EXPECT_FALSE(browser.cookies.contains(session));
        EXPECT_EQ(Browser::location(browser.get("/devices")), "/");
    });
}

TEST(Enrolment, EveryAnswerIsGuarded) {
    visit([](Place&, Browser& browser) {
        for (const auto* path : {"/", "/callback", "/nothing", "/style.css", "/devices"}) {
            const auto response = browser.get(path);
            std::map<std::string, std::string> headers(response.headers.begin(), response.headers.end());
            EXPECT_TRUE(headers["Content-Security-Policy"].starts_with("default-src 'none'")) << path;
            EXPECT_EQ(headers["X-Frame-Options"], "DENY") << path;
            EXPECT_EQ(headers["X-Content-Type-Options"], "nosniff") << path;
            EXPECT_TRUE(headers.contains("Strict-Transport-Security")) << path;
            EXPECT_FALSE(says(response, "<script")) << path;
            EXPECT_FALSE(says(response, "style=")) << path;
        }
    });
}

TEST(Enrolment, CookiesAreOfThisHostAndNotForScripts) {
    visit([](Place&, Browser& browser) {
        browser.get("/");
        EXPECT_TRUE(browser.last_cookie.starts_with("__Host-popgate-browser="));
        for (const auto* flag : {"; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax"})
            EXPECT_NE(browser.last_cookie.find(flag), std::string::npos) << flag;
    });
}

TEST(Enrolment, FormsOfOthersAreRefused) {
    visit([](Place& place, Browser& browser) {
        browser.sign_in();
        const auto form = "token=" + browser.token + "&label=x";
        EXPECT_EQ(browser.send("POST", "/devices", "label=x").status, 403u) << "no token";
        EXPECT_EQ(browser.send("POST", "/devices", "label=x&token=" + std::string(64, '0')).status, 403u);
        EXPECT_EQ(browser.send("POST", "/devices", form, {{"origin", "https://evil.example"}}).status, 403u);
        EXPECT_EQ(browser.send("POST", "/devices", form, {{"origin", "null"}}).status, 403u);
        EXPECT_EQ(browser.send("POST", "/devices", form, {{"origin", "http://mail.example.com"}}).status, 403u);
        EXPECT_EQ(browser.send("POST", "/devices", form, {{"sec-fetch-site", "same-site"}}).status, 403u);
        EXPECT_EQ(browser.send("POST", "/devices", form, {{"sec-fetch-site", "cross-site"}}).status, 403u);
        Browser other(place, browser.fiber);
        other.sign_in("bob@example.com");
        EXPECT_EQ(browser.send("POST", "/devices", "token=" + other.token + "&label=x").status, 403u);
        EXPECT_TRUE(place.people.kept["alice@example.com"].empty());
        const std::map<std::string, std::string> own = {{"origin", "https://mail.example.com"},
                                                        {"sec-fetch-site", "same-origin"}};
        EXPECT_EQ(browser.send("POST", "/devices", form, own).status, 303u);
    });
}

TEST(Enrolment, ASessionThatWasPlantedIsNotUsed) {
    visit([](Place& place, Browser& browser) {
        browser.cookies[session] = "planted";
        browser.sign_in();
        EXPECT_NE(browser.cookies[session], "planted");
        EXPECT_EQ(browser.cookies[session].size(), 64u);
        // A session of the attacker's own becomes nobody else's.
        Browser attacker(place, browser.fiber);
        attacker.sign_in("mallory@example.com");
        Browser victim(place, browser.fiber);
        victim.cookies = attacker.cookies;
        const auto planted = attacker.cookies[session];
        const auto begun = victim.post("/sign-out");
        EXPECT_EQ(begun.status, 403u) << "it does not even know the token";
        victim.get("/devices");
        victim.send("POST", "/sign-in", "provider=example&token=" + victim.token);
        victim.come_back("state-3");
        EXPECT_NE(victim.cookies[session], planted);
        EXPECT_EQ(Browser::location(attacker.get("/devices")), "/") << "the old one has ended";
    });
}

TEST(Enrolment, ACallbackIsOfItsBrowserAndOnce) {
    visit([](Place& place, Browser& browser) {
        Browser attacker(place, browser.fiber);
        const auto planted = attacker.leave();
        const auto own = browser.leave();
        EXPECT_EQ(browser.come_back(planted, "mallory@example.com").status, 400u);
        EXPECT_FALSE(browser.cookies.contains(session));
        EXPECT_EQ(browser.come_back("").status, 400u);
        EXPECT_EQ(browser.get("/callback?code=x").status, 400u);
        EXPECT_EQ(browser.get("/callback?state=" + own + "&state=" + own + "&code=x").status, 400u);
        EXPECT_EQ(browser.come_back(own).status, 303u);
        EXPECT_EQ(browser.come_back(own).status, 400u) << "replayed";
        const auto late = attacker.leave();
        place.now += 11min;
        EXPECT_EQ(attacker.come_back(late).status, 400u);
    });
}

TEST(Enrolment, AnAnswerOfAnotherIssuerIsRefused) {
    visit([](Place&, Browser& browser) {
        auto state = browser.leave();
        EXPECT_EQ(
            browser.get("/callback?state=" + state + "&code=a%40example.com&iss=https%3A%2F%2Fevil.example").status,
            400u);
        state = browser.leave();
        EXPECT_EQ(
            browser.get("/callback?state=" + state + "&code=a%40example.com&iss=https%3A%2F%2Flogin.example").status,
            303u);
    });
}

TEST(Enrolment, NothingLeadsElsewhere) {
    visit([](Place&, Browser& browser) {
        for (const auto* target : {"/?next=https://evil.example", "//evil.example", "/devices?url=//evil.example",
                                   "/\\evil.example", "/sign-in?redirect_uri=https://evil.example"}) {
            const auto location = Browser::location(browser.get(target));
            EXPECT_TRUE(location.empty() || location == "/") << target << " led to " << location;
        }
        browser.get("/");
        const auto left = browser.post("/sign-in", "provider=example&redirect_uri=https://evil.example&next=//evil");
        EXPECT_EQ(Browser::location(left),
                  "https://login.example/authorize?state=state-1&redirect_uri=https://mail.example.com/callback");
        EXPECT_EQ(browser.post("/sign-in", "provider=https://evil.example").status, 400u);
    });
}

TEST(Enrolment, ValuesAreEscapedWhoeverTheyAreFrom) {
    visit([](Place& place, Browser& browser) {
        const std::string script = "%3Cscript%3Ealert(1)%3C/script%3E";
        auto state = browser.leave();
        auto response = browser.get("/callback?state=" + state + "&error=x&error_description=" + script);
        EXPECT_EQ(response.status, 403u);
        EXPECT_TRUE(says(response, "&lt;script&gt;"));
        EXPECT_FALSE(says(response, "<script"));
        state = browser.leave();
        response = browser.come_back(state, script + "%40other.example");
        EXPECT_TRUE(says(response, "&lt;script&gt;") && !says(response, "<script"));
        browser.sign_in();
        browser.post("/devices", "label=%22%3E" + script);
        for (const auto* path : {"/new-password", "/devices"}) {
            response = browser.get(path);
            EXPECT_TRUE(says(response, "&quot;&gt;&lt;script&gt;") && !says(response, "<script")) << path;
        }
        place.people.kept["alice@example.com"][0].last_used = 1;
        place.people.kept["alice@example.com"][0].last_address = "<script>";
        EXPECT_FALSE(says(browser.get("/devices"), "<script"));
    });
}

TEST(Enrolment, WhoHasNoMailboxOrIsAnotherPersonIsTold) {
    visit([](Place& place, Browser& browser) {
        EXPECT_TRUE(says(browser.sign_in("eve@other.example"), "No mailbox"));
        EXPECT_TRUE(says(browser.sign_in("refused@example.com"), "did not open"));
        place.people.subjects["alice@example.com"] = "somebody";
        EXPECT_TRUE(says(browser.sign_in(), "another sign-in"));
        place.people.offered->verified = false;
        EXPECT_TRUE(says(browser.sign_in("bob@example.com"), "not confirmed"));
        EXPECT_FALSE(browser.cookies.contains(session));
        EXPECT_FALSE(place.people.subjects.contains("bob@example.com"));
    });
}

TEST(Enrolment, WithoutAnIdTokenTheProviderIsAsked) {
    visit([](Place& place, Browser& browser) {
        place.people.offered->tells_identity = false;
        EXPECT_EQ(browser.sign_in("carol@example.com").status, 303u);
        EXPECT_TRUE(says(browser.get("/devices"), "carol@example.com"));
    });
}

TEST(Enrolment, ARouteOfOtherScopesIsAskedForOnce) {
    visit([](Place& place, Browser& browser) {
        const auto other = std::make_shared<FakeProvider>("https://login.example/other", "files");
        place.people.wanted = other;
        const auto again = browser.come_back(browser.leave());
        EXPECT_TRUE(Browser::location(again).starts_with("https://login.example/other?"));
        EXPECT_EQ(other->hint, "alice@example.com");
        EXPECT_EQ(browser.come_back(Browser::state_of(again)).status, 303u);
        EXPECT_TRUE(browser.cookies.contains(session));
        // A route that is satisfied with nothing is no circle.
        place.people.wanted = std::make_shared<FakeProvider>("https://login.example/third", "third");
        Browser second(place, browser.fiber);
        const auto led = second.come_back(second.leave());
        place.people.wanted = std::make_shared<FakeProvider>("https://login.example/fourth", "fourth");
        EXPECT_EQ(second.come_back(Browser::state_of(led)).status, 500u);
    });
}

TEST(Enrolment, TroubleIsNotSaidToBeThePersons) {
    visit([](Place& place, Browser& browser) {
        place.people.offered->refusal = oauth::Refusal{oauth::Refusal::Kind::later, "x", "x", {}, {}};
        browser.get("/");
        EXPECT_EQ(browser.post("/sign-in", "provider=example").status, 503u);
        place.people.offered->refusal = oauth::Refusal{oauth::Refusal::Kind::setup, "x", "x", {}, {}};
        browser.get("/");
        EXPECT_EQ(browser.post("/sign-in", "provider=example").status, 500u);
        place.people.offered->refusal.reset();
        const auto state = browser.leave();
        place.people.trouble = Error{Errc::temporary, "down", {}};
        EXPECT_EQ(browser.come_back(state).status, 503u);
        EXPECT_FALSE(browser.cookies.contains(session));
        place.people.trouble.reset();
        browser.sign_in();
        place.people.trouble = Error{Errc::permanent, "no key", {}};
        const auto response = browser.get("/devices");
        EXPECT_EQ(response.status, 500u);
        EXPECT_FALSE(says(response, "no key")) << "that is for the log";
    });
}

TEST(Enrolment, AnotherHostNameIsNotAnswered) {
    visit([](Place&, Browser& browser) {
        for (const auto* host : {"evil.example", "mail.example.com:8443", "", "mail.example.com.evil.example"})
            EXPECT_EQ(browser.send("GET", "/", {}, {{"host", host}}).status, 421u) << host;
        EXPECT_EQ(browser.send("GET", "/", {}, {{"host", "MAIL.example.com:443"}}).status, 200u);
    });
}

TEST(Enrolment, SignInsOfAnAddressAreCounted) {
    visit([](Place& place, Browser& browser) {
        for (int i = 0; i < 60; ++i) browser.leave();
        browser.get("/");
        EXPECT_EQ(browser.post("/sign-in", "provider=example").status, 429u);
        browser.address = "192.0.2.2";
        EXPECT_EQ(browser.post("/sign-in", "provider=example").status, 303u);
        browser.address = "192.0.2.1";
        place.now += 11min;
        EXPECT_EQ(browser.post("/sign-in", "provider=example").status, 303u);
    });
}

TEST(Enrolment, MethodsAndPathsThatAreNotThere) {
    visit([](Place&, Browser& browser) {
        browser.get("/");
        for (const auto* path : {"/sign-in", "/revoke", "/sign-out"}) EXPECT_EQ(browser.get(path).status, 405u) << path;
        for (const auto* path : {"/", "/callback", "/new-password"}) EXPECT_EQ(browser.post(path).status, 405u) << path;
        EXPECT_EQ(browser.send("DELETE", "/devices").status, 405u);
        EXPECT_EQ(browser.get("/favicon.ico").status, 404u);
        EXPECT_EQ(browser.post("/nothing").status, 404u);
    });
}

TEST(Enrolment, SpeaksTheLanguageThatIsWanted) {
    visit([](Place&, Browser& browser) {
        EXPECT_TRUE(
            says(browser.send("GET", "/", {}, {{"accept-language", "fr, es-MX;q=0.8, en;q=0.5"}}), "lang=\"es\""));
        EXPECT_TRUE(says(browser.send("GET", "/", {}, {{"accept-language", "fr, en-GB, es;q=0.8"}}), "lang=\"en\""));
        EXPECT_TRUE(says(browser.send("GET", "/", {}, {{"accept-language", "es;q=0, de"}}), "lang=\"en\""));
        EXPECT_TRUE(says(browser.get("/?lang=es"), "Conecte su programa"));
        EXPECT_TRUE(says(browser.get("/"), "Conecte su programa")) << "it is remembered";
        EXPECT_TRUE(says(browser.get("/?lang=xx"), "<html lang=\"en\">"));
    });
}

TEST(Enrolment, DevicesHaveALimitAndNames) {
    visit([](Place& place, Browser& browser) {
        browser.sign_in();
        browser.post("/devices", "label=+%0d%0a+");
        EXPECT_EQ(place.people.kept["alice@example.com"].at(0).label, "Mail program");
        place.people.kept["alice@example.com"].resize(50);
        EXPECT_EQ(browser.post("/devices", "label=x").status, 409u);
        EXPECT_EQ(browser.post("/revoke").status, 400u) << "no id is not all";
        EXPECT_EQ(place.people.kept["alice@example.com"].size(), 50u);
        EXPECT_TRUE(says(browser.get("/revoke-all"), "Revoke all passwords?"));
        browser.post("/revoke-all");
        EXPECT_TRUE(place.people.kept["alice@example.com"].empty());
    });
}

}  // namespace
}  // namespace popgate::web
