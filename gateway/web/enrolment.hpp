#pragma once

#include "gateway/net/fiber.hpp"
#include "gateway/web/http.hpp"
#include "gateway/web/mail_settings.hpp"
#include "gateway/web/pages.hpp"
#include "gateway/web/people.hpp"
#include "gateway/web/sessions.hpp"

#include <functional>
#include <string>
#include <string_view>

namespace popgate::web {

/// The pages on which people sign in with their provider, get app passwords and revoke them. Works without JavaScript.
/// Sessions are in memory: after a restart people sign in again. Of one thread; handle() suspends.
class Enrolment {
public:
    struct Options {
        std::string url;  ///< as people reach it; its host must be what they ask for (DNS rebinding)
        MailSettings settings;
        std::function<Clock::time_point()> now = [] { return Clock::now(); };
    };
    Enrolment(Options options, People& people);

    Response handle(Fiber& fiber, const Request& request);

private:
    struct Visit;

    Response get(Fiber& fiber, Visit& visit);
    Response post(Fiber& fiber, Visit& visit);
    Response sign_in(Fiber& fiber, Visit& visit);
    Response leave_for(Fiber& fiber, Visit& visit, PendingSignIns::Pending pending, const std::string& hint);
    Response callback(Fiber& fiber, Visit& visit);
    Response finish(Fiber& fiber, Visit& visit, PendingSignIns::Pending pending);
    Response devices(Fiber& fiber, Visit& visit);
    Response add_device(Fiber& fiber, Visit& visit);
    Response new_password(Visit& visit);
    Response revoke(Fiber& fiber, Visit& visit, bool all);
    Response trouble(const Visit& visit, const Error& error) const;
    Response refusal(const Visit& visit, const oauth::Refusal& refusal) const;
    Response to(std::string_view path) const;

    bool is_own_form(const Visit& visit) const;
    std::string cookie(std::string_view name, std::string_view value, std::string_view more) const;
    std::string cookie_name(std::string_view name) const;

    Options options_;
    People& people_;
    std::string origin_;
    bool https_;
    FormTokens tokens_;
    PendingSignIns pending_;
    Sessions sessions_;
    SignInRate rate_;
};

}  // namespace popgate::web
