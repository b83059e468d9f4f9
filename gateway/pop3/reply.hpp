#pragma once

#include "backends/errors.hpp"

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace popgate::pop3 {

/// The languages of replies (LANG, RFC 6856 §3).
enum class Language { english, spanish };

/// The language a client asks for by tag ("es", "es-MX", "*"); nothing when it is not spoken here.
std::optional<Language> find_language(std::string_view tag);

/// Every fixed sentence that a client may read.
enum class Text {
    greeting,
    bye,
    unknown_command,
    bad_arguments,
    bad_number,
    bad_characters,
    line_too_long,
    other_protocol,
    too_many_bad_commands,
    not_before_login,
    not_after_login,
    tls_first,
    begin_tls,
    tls_already,
    tls_not_offered,
    input_after_stls,
    send_password,
    user_first,
    bad_mechanism,
    bad_base64,
    cancelled,
    other_identity,
    bad_credentials,
    wrong_password,
    sign_in,
    no_such_message,
    message_deleted,
    message_gone,
    not_retrieved,
    read_only,
    marked,
    all_unmarked,
    still_here,
    utf8_enabled,
    languages,
    language_set,
    no_such_language,
    capabilities,
    mechanisms,
    in_use,
    login_delay,
    temporary,
    permanent,
    logged_in,  ///< number, octets
    scan_list,  ///< number, octets
    unique_ids,
    message,  ///< octets
    top,
    removed,      ///< number removed, number left
    not_removed,  ///< number not removed, number to remove
    not_known,    ///< number of which it is not known, number to remove
    too_busy,
    shutting_down,
    ended_by_administrator,
};

std::string_view text_of(Text text, Language language);

/// "+OK …" with CRLF. `{}` in the sentence is replaced by the arguments in turn.
std::string ok(Text text, Language language, std::initializer_list<std::uint64_t> arguments = {});
/// "-ERR …" with CRLF; `code` is a response code such as "AUTH" (RFC 2449 §8), or empty.
std::string err(std::string_view code, Text text, Language language,
                std::initializer_list<std::uint64_t> arguments = {});

/// What a client is told of a failure: the one switch from Errc to response codes (RFC 2449 §8.1, RFC 3206). The
/// error's own text is cleaned of control characters and cut. "please wait and retry" is what fetchmail reads as
/// temporary.
std::string err(const Error& error, Language language);

}  // namespace popgate::pop3
