#include "gateway/accounts/pam.hpp"

#include "gateway/net/blocking_call.hpp"

#include <security/pam_appl.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>

namespace popgate {

namespace {

using namespace std::chrono_literals;

constexpr auto time_limit = 30s;  // an LDAP server behind it may be slow

/// Answers every question that wants no echo with the password; there is nobody to ask anything else.
int converse(int count, const pam_message** messages, pam_response** responses, void* password) {
    if (count <= 0 || count > PAM_MAX_NUM_MSG) return PAM_CONV_ERR;
    auto* const answers =
        static_cast<pam_response*>(std::calloc(static_cast<std::size_t>(count), sizeof(pam_response)));
    if (!answers) return PAM_BUF_ERR;
    for (int i = 0; i < count; ++i) {
        const int style = messages[i]->msg_style;
        if (style == PAM_ERROR_MSG || style == PAM_TEXT_INFO) continue;
        if (style == PAM_PROMPT_ECHO_OFF)
            answers[i].resp = ::strdup(static_cast<const Secret*>(password)->reveal().c_str());
        if (answers[i].resp) continue;
        for (int j = 0; j < i; ++j) std::free(answers[j].resp);
        std::free(answers);
        return PAM_CONV_ERR;
    }
    *responses = answers;
    return PAM_SUCCESS;
}

void do_not_wait(int, unsigned, void*) {}

struct Verdict {
    bool is_asked = false;  ///< PAM could be asked at all
    int code = PAM_SYSTEM_ERR;
    std::string text;
};

Verdict ask(const std::string& service, const std::string& user, const Secret& password, const std::string& address) {
    const pam_conv conversation{converse, const_cast<Secret*>(&password)};
    pam_handle_t* handle = nullptr;
    Verdict verdict;
    verdict.code = ::pam_start(service.c_str(), user.c_str(), &conversation, &handle);
    if (verdict.code == PAM_SUCCESS) {
        verdict.is_asked = true;
        ::pam_set_item(handle, PAM_RHOST, address.c_str());
        ::pam_set_item(handle, PAM_TTY, "popgate");
        void (*const delay)(int, unsigned, void*) = do_not_wait;
        const void* delay_item = nullptr;
        std::memcpy(&delay_item, &delay, sizeof delay);
        ::pam_set_item(handle, PAM_FAIL_DELAY, delay_item);
        verdict.code = ::pam_authenticate(handle, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
        if (verdict.code == PAM_SUCCESS) verdict.code = ::pam_acct_mgmt(handle, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
        // A module may have made another user of it, whose mailbox this is not.
        const void* name = nullptr;
        if (verdict.code == PAM_SUCCESS &&
            (::pam_get_item(handle, PAM_USER, &name) != PAM_SUCCESS || !name || user != static_cast<const char*>(name)))
            verdict.code = PAM_PERM_DENIED;
    }
    verdict.text = ::pam_strerror(handle, verdict.code);
    if (handle) ::pam_end(handle, verdict.code);
    return verdict;
}

bool is_refusal(int code) {
    switch (code) {
        case PAM_AUTH_ERR:
        case PAM_USER_UNKNOWN:
        case PAM_PERM_DENIED:
        case PAM_MAXTRIES:
        case PAM_ACCT_EXPIRED:
        case PAM_NEW_AUTHTOK_REQD:
        case PAM_CRED_EXPIRED:
        case PAM_AUTHTOK_EXPIRED: return true;
        default: return false;
    }
}

}  // namespace

Status check_pam(Fiber& fiber, const std::string& service, const std::string& user, const Secret& password,
                 const std::string& client_address) {
    if (user.find('\0') != std::string::npos || password.reveal().find('\0') != std::string::npos)
        return Error{Errc::auth, "wrong user name or password", "a NUL, which PAM cannot be given"};
    const auto copy = std::make_shared<const Secret>(password.reveal());
    const auto verdict = blocking_call(
        fiber, Clock::now() + time_limit,
        [service, user, copy, client_address] { return std::make_optional(ask(service, user, *copy, client_address)); },
        Blocking::passwords);
    const std::string text = "passwords cannot be checked now";
    if (!verdict || !*verdict) return Error{Errc::temporary, text, "PAM: too slow, interrupted, or too many at once"};
    const auto& [is_asked, code, words] = **verdict;
    if (is_asked && code == PAM_SUCCESS) return {};
    if (is_asked && is_refusal(code)) return Error{Errc::auth, "wrong user name or password", "PAM: " + words};
    return Error{Errc::temporary, text, "PAM service " + service + ": " + words};
}

}  // namespace popgate
