#include "gateway/pop3/reply.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace popgate::pop3 {

namespace {

struct Sentence {
    Text text;
    std::string_view english;
    std::string_view spanish;
};

constexpr std::array sentences{
    Sentence{Text::greeting, "POP3 server ready", "Servidor POP3 preparado"},
    Sentence{Text::bye, "Bye", "Adiós"},
    Sentence{Text::unknown_command, "Unknown command", "Orden desconocida"},
    Sentence{Text::bad_arguments, "Wrong arguments", "Argumentos incorrectos"},
    Sentence{Text::bad_number, "That is no message number", "Eso no es un número de mensaje"},
    Sentence{Text::bad_characters, "A NUL or a lone CR is not allowed in a command",
             "Una orden no puede contener NUL ni un CR suelto"},
    Sentence{Text::line_too_long, "Line too long", "Línea demasiado larga"},
    Sentence{Text::other_protocol, "This is a POP3 server", "Este es un servidor POP3"},
    Sentence{Text::too_many_bad_commands, "Too many bad commands", "Demasiadas órdenes incorrectas"},
    Sentence{Text::not_before_login, "Log in first", "Primero inicie sesión"},
    Sentence{Text::not_after_login, "Not possible after login", "No es posible después de iniciar sesión"},
    Sentence{Text::tls_first, "TLS is required: send STLS first", "Se exige TLS: envíe antes STLS"},
    Sentence{Text::begin_tls, "Begin TLS", "Comience TLS"},
    Sentence{Text::tls_already, "TLS is already active", "TLS ya está activo"},
    Sentence{Text::tls_not_offered, "TLS is not offered here", "Aquí no se ofrece TLS"},
    Sentence{Text::input_after_stls, "Nothing may follow STLS before TLS", "Nada puede seguir a STLS antes de TLS"},
    Sentence{Text::send_password, "Send the password", "Envíe la contraseña"},
    Sentence{Text::user_first, "Send USER first", "Envíe antes USER"},
    Sentence{Text::bad_mechanism, "No such mechanism", "Mecanismo desconocido"},
    Sentence{Text::bad_base64, "That is not what the mechanism expects", "No es lo que el mecanismo espera"},
    Sentence{Text::cancelled, "Authentication cancelled", "Autenticación cancelada"},
    Sentence{Text::other_identity, "Acting for another identity is not possible",
             "No es posible actuar por otra identidad"},
    Sentence{Text::bad_credentials, "User name or password not acceptable", "Usuario o contraseña no aceptables"},
    Sentence{Text::wrong_password, "Wrong user name or password", "Usuario o contraseña incorrectos"},
    Sentence{Text::sign_in, "You have to sign in again", "Tiene que iniciar sesión de nuevo"},
    Sentence{Text::no_such_message, "No such message", "No existe ese mensaje"},
    Sentence{Text::message_deleted, "That message is marked as deleted", "Ese mensaje está marcado como borrado"},
    Sentence{Text::message_gone, "That message is no longer in the mailbox", "Ese mensaje ya no está en el buzón"},
    Sentence{Text::not_retrieved, "Retrieve the message before you delete it", "Recupere el mensaje antes de borrarlo"},
    Sentence{Text::read_only, "Nothing can be deleted in this session, please wait and retry",
             "En esta sesión no se puede borrar nada, espere y vuelva a intentarlo"},
    Sentence{Text::marked, "Marked for deletion", "Marcado para borrar"},
    Sentence{Text::all_unmarked, "{} messages ({} octets)", "{} mensajes ({} octetos)"},
    Sentence{Text::still_here, "Still here", "Sigo aquí"},
    Sentence{Text::utf8_enabled, "UTF-8 enabled", "UTF-8 activado"},
    Sentence{Text::languages, "Languages follow", "Siguen los idiomas"},
    Sentence{Text::language_set, "en Language changed", "es Idioma cambiado"},
    Sentence{Text::no_such_language, "That language is not available", "Ese idioma no está disponible"},
    Sentence{Text::capabilities, "Capabilities follow", "Siguen las capacidades"},
    Sentence{Text::mechanisms, "Mechanisms follow", "Siguen los mecanismos"},
    Sentence{Text::in_use, "The mailbox is in use by another session, please wait and retry",
             "Otra sesión está usando el buzón, espere y vuelva a intentarlo"},
    Sentence{Text::login_delay, "The last login was a moment ago, please wait and retry",
             "El último inicio de sesión fue hace un momento, espere y vuelva a intentarlo"},
    Sentence{Text::temporary, "Service temporarily unavailable, please wait and retry",
             "Servicio no disponible por el momento, espere y vuelva a intentarlo"},
    Sentence{Text::permanent, "Ask the administrator", "Consulte al administrador"},
    Sentence{Text::logged_in, "{} messages ({} octets)", "{} mensajes ({} octetos)"},
    Sentence{Text::scan_list, "{} messages ({} octets)", "{} mensajes ({} octetos)"},
    Sentence{Text::unique_ids, "Unique-ids follow", "Siguen los identificadores"},
    Sentence{Text::message, "{} octets", "{} octetos"},
    Sentence{Text::top, "Top of message follows", "Sigue el comienzo del mensaje"},
    Sentence{Text::removed, "{} messages removed, {} left", "{} mensajes borrados, quedan {}"},
    Sentence{Text::not_removed, "{} of {} messages could not be removed and are still there, please wait and retry",
             "{} de {} mensajes no pudieron borrarse y siguen ahí, espere y vuelva a intentarlo"},
    Sentence{Text::not_known, "It is not known whether {} of {} messages were removed, please wait and retry",
             "No se sabe si {} de {} mensajes se borraron, espere y vuelva a intentarlo"},
    Sentence{Text::too_busy, "Too many sessions, please wait and retry",
             "Demasiadas sesiones, espere y vuelva a intentarlo"},
    Sentence{Text::shutting_down, "The server is shutting down, please wait and retry",
             "El servidor se está apagando, espere y vuelva a intentarlo"},
    Sentence{Text::ended_by_administrator, "An administrator has ended this session, please wait and retry",
             "Un administrador ha terminado esta sesión, espere y vuelva a intentarlo"},
};

constexpr bool sentences_are_in_order() {
    for (std::size_t i = 0; i < sentences.size(); ++i)
        if (static_cast<std::size_t>(sentences[i].text) != i) return false;
    return true;
}
static_assert(sentences_are_in_order() && sentences.back().text == Text::ended_by_administrator);

// RFC 2449 §4 allows 512 octets a reply; the code, the retry hint and CRLF need some of them.
constexpr std::size_t longest_reason = 300;

std::string fill_in(Text text, Language language, std::initializer_list<std::uint64_t> arguments) {
    std::string filled(text_of(text, language));
    for (const auto argument : arguments) {
        const auto place = filled.find("{}");
        if (place == std::string::npos) break;
        filled.replace(place, 2, std::to_string(argument));
    }
    return filled;
}

// Text that came from a peer: one line of printable ASCII.
std::string clean(std::string_view text) {
    std::string cleaned(text.substr(0, longest_reason));
    std::ranges::replace_if(
        cleaned, [](unsigned char c) { return c < 0x20 || c > 0x7E; }, '?');
    return cleaned;
}

}  // namespace

std::optional<Language> find_language(std::string_view tag) {
    const auto same = [](std::string_view text, std::string_view lower_case) {
        return std::ranges::equal(text, lower_case, {}, [](char c) { return c >= 'A' && c <= 'Z' ? c | 0x20 : c; });
    };
    const auto is = [&](std::string_view word) { return same(tag.substr(0, tag.find('-')), word); };
    if (tag == "*" || is("en") || same(tag, "i-default")) return Language::english;  // RFC 2277
    if (is("es")) return Language::spanish;
    return std::nullopt;
}

std::string_view text_of(Text text, Language language) {
    const auto& sentence = sentences[static_cast<std::size_t>(text)];
    return language == Language::spanish ? sentence.spanish : sentence.english;
}

std::string ok(Text text, Language language, std::initializer_list<std::uint64_t> arguments) {
    return "+OK " + fill_in(text, language, arguments) + "\r\n";
}

std::string err(std::string_view code, Text text, Language language, std::initializer_list<std::uint64_t> arguments) {
    std::string reply = "-ERR ";
    if (!code.empty()) reply.append("[").append(code).append("] ");
    return reply + fill_in(text, language, arguments) + "\r\n";
}

std::string err(const Error& error, Language language) {
    switch (error.code) {
        case Errc::auth: return err("AUTH", Text::wrong_password, language);
        case Errc::sign_in:
            if (error.text.empty()) return err("AUTH", Text::sign_in, language);
            return "-ERR [AUTH] " + std::string(text_of(Text::sign_in, language)) + ": " + clean(error.text) + "\r\n";
        case Errc::in_use:
            if (error.text.empty() || language != Language::english) return err("IN-USE", Text::in_use, language);
            return "-ERR [IN-USE] " + clean(error.text) + ", please wait and retry\r\n";
        case Errc::login_delay: return err("LOGIN-DELAY", Text::login_delay, language);
        case Errc::gone: return err("", Text::message_gone, language);
        case Errc::permanent:
            if (error.text.empty()) return err("SYS/PERM", Text::permanent, language);
            return "-ERR [SYS/PERM] " + clean(error.text) + ": " + std::string(text_of(Text::permanent, language)) +
                   "\r\n";
        case Errc::temporary:
        case Errc::sink_closed: break;
    }
    if (error.text.empty() || language != Language::english) return err("SYS/TEMP", Text::temporary, language);
    return "-ERR [SYS/TEMP] " + clean(error.text) + ", please wait and retry\r\n";
}

}  // namespace popgate::pop3
