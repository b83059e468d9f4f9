#pragma once

#include <string_view>

namespace popgate::web {

enum class Language { english, spanish };

/// "en", "es".
std::string_view code_of(Language language);

/// `wanted` ("?lang=es", a cookie) where it names one of ours, else the first of ours in Accept-Language (RFC 9110
/// §12.5.4), else English.
Language choose_language(std::string_view wanted, std::string_view accept_language);

/// What pages say. "{}" in a text is where a value goes.
enum class Text {
    sign_in_title,
    sign_in_intro,
    sign_in_button,
    sign_in_note,
    no_providers,
    signed_in_as,
    sign_out,
    devices_title,
    devices_intro,
    no_devices,
    device_created,
    device_last_used,
    device_never_used,
    device_from,
    revoke,
    revoke_of,
    revoke_all,
    revoke_all_title,
    revoke_all_text,
    revoke_all_yes,
    keep_them,
    add_title,
    add_text,
    label,
    label_hint,
    label_default,
    add_button,
    new_password_title,
    new_password_intro,
    your_password,
    password_hint,
    password_gone_title,
    password_gone_text,
    settings_title,
    settings_intro,
    setting_server,
    setting_port,
    setting_user,
    setting_password,
    setting_as_shown,
    security_tls,
    security_starttls,
    security_none,
    outgoing_note,
    done,
    back,
    again,
    error_expired_title,
    error_expired_text,
    error_form_title,
    error_form_text,
    error_declined_title,
    error_declined_text,
    error_later_title,
    error_later_text,
    error_setup_title,
    error_setup_text,
    error_no_mailbox_title,
    error_no_mailbox_text,
    error_nobody_text,
    error_unverified_title,
    error_unverified_text,
    error_other_person_title,
    error_other_person_text,
    error_refused_title,
    error_refused_text,
    error_too_many_title,
    error_too_many_text,
    error_too_many_devices_title,
    error_too_many_devices_text,
    error_not_found_title,
    error_not_found_text,
    error_method_title,
    error_method_text,
    provider_says,
    language,
    count  // not a text
};

std::string_view text(Language language, Text which);

}  // namespace popgate::web
