// Serves the enrolment pages with accounts in memory and a provider that lets anybody in, for tests in a browser: no
// store, no mail server. Prints the pages' URL, and ends when standard input does.
#include "gateway/net/blocking_call.hpp"
#include "gateway/web/enrolment.hpp"
#include "gateway/web/web_server.hpp"
#include "tests/support/fake_people.hpp"

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>

namespace {

using namespace popgate;

/// Signs in whoever it is set to, and sends the browser back at once.
web::Response authorize(const web::Request& request, std::string& person) {
    if (request.path == "/person") {
        person = request.query.get("is");
        return {};
    }
    const auto back = request.query.get("redirect_uri") + "?state=" + request.query.get("state") + "&code=" + person;
    return {303, {}, {}, {{"Location", back}}};
}

}  // namespace

int main() {
    std::signal(SIGPIPE, SIG_IGN);
    web::WebServer server;
    std::string person = "alice@example.com";
    std::unique_ptr<test::FakePeople> people;
    std::optional<web::Enrolment> enrolment;
    const auto listen = [&](web::Handler handler) {
        if (auto status = server.listen("127.0.0.1:0", nullptr, false, std::move(handler)); status.has_error()) {
            std::cerr << status.error().text << '\n';
            std::exit(1);
        }
    };
    listen([&](Fiber& fiber, const web::Request& request) { return enrolment->handle(fiber, request); });
    listen([&](Fiber&, const web::Request& request) { return authorize(request, person); });
    const auto url = [&](std::size_t i) {
        return "http://127.0.0.1:" + std::to_string(server.local_endpoint(i).port());
    };
    people = std::make_unique<test::FakePeople>(std::make_shared<test::FakeProvider>(url(1) + "/authorize"));
    web::Enrolment::Options options;
    options.url = url(0);
    options.settings = {"pop.example.com",
                        {{995, TlsMode::implicit}, {110, TlsMode::starttls}, {10110, TlsMode::none}},
                        "Example Mail"};
    enrolment.emplace(options, *people);
    server.start();
    std::cout << url(0) << ' ' << url(1) << std::endl;
    while (std::cin.get() != std::char_traits<char>::eof()) {
    }
    server.stop(std::chrono::seconds(2));
    return 0;
}
