#include "gateway/web/texts.hpp"

#include "backends/ascii.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <string>

namespace popgate::web {

namespace {

struct Entry {
    Text which;
    std::string_view english;
    std::string_view spanish;
};

// clang-format off
constexpr std::array table = {
    Entry{Text::sign_in_title, "Connect your mail program", "Conecte su programa de correo"},
    Entry{Text::sign_in_intro,
        "Some mail programs, printers and scanners cannot sign in to your mailbox by themselves. Sign in here once, and you get a password made just for that program. Your own password is never entered here and never stored.",
        "Algunos programas de correo, impresoras y escáneres no pueden iniciar sesión en su buzón por sí mismos. Inicie sesión aquí una vez y recibirá una contraseña creada solo para ese programa. Su propia contraseña no se introduce aquí ni se guarda."},
    Entry{Text::sign_in_button, "Sign in with {}", "Iniciar sesión con {}"},
    Entry{Text::sign_in_note,
        "You will be taken to your mail provider’s own page, and back here afterwards.",
        "Irá a la página de su proveedor de correo y después volverá aquí."},
    Entry{Text::no_providers,
        "Nobody can sign in here yet. Please ask your administrator.",
        "Aún no es posible iniciar sesión aquí. Consulte a su administrador."},
    Entry{Text::signed_in_as, "Signed in as {}", "Sesión iniciada como {}"},
    Entry{Text::sign_out, "Sign out", "Cerrar sesión"},
    Entry{Text::devices_title, "Your devices", "Sus dispositivos"},
    Entry{Text::devices_intro,
        "Each device or program below has a password of its own. If you lose one, or no longer use it, revoke its password: the others keep working.",
        "Cada dispositivo o programa de la lista tiene su propia contraseña. Si pierde uno o deja de usarlo, revoque su contraseña: los demás seguirán funcionando."},
    Entry{Text::no_devices,
        "You have no devices yet. Add the first one below.",
        "Todavía no tiene dispositivos. Añada el primero a continuación."},
    Entry{Text::device_created, "Added", "Añadido"},
    Entry{Text::device_last_used, "Last used", "Último uso"},
    Entry{Text::device_never_used, "Never used", "Nunca usado"},
    Entry{Text::device_from, "from {}", "desde {}"},
    Entry{Text::revoke, "Revoke", "Revocar"},
    Entry{Text::revoke_of, "the password of {}", "la contraseña de {}"},
    Entry{Text::revoke_all, "Revoke all…", "Revocar todas…"},
    Entry{Text::revoke_all_title, "Revoke all passwords?", "¿Revocar todas las contraseñas?"},
    Entry{Text::revoke_all_text,
        "Every device and program stops receiving mail until you give it a new password. Your mail itself is not touched.",
        "Todos los dispositivos y programas dejarán de recibir correo hasta que les dé una contraseña nueva. Sus mensajes no se modifican."},
    Entry{Text::revoke_all_yes, "Revoke all passwords", "Revocar todas las contraseñas"},
    Entry{Text::keep_them, "Keep them", "Conservarlas"},
    Entry{Text::add_title, "Add a device", "Añadir un dispositivo"},
    Entry{Text::add_text,
        "You get a new password for it, which is shown once.",
        "Recibirá una contraseña nueva para él, que se muestra una sola vez."},
    Entry{Text::label, "Name of the device or program", "Nombre del dispositivo o programa"},
    Entry{Text::label_hint, "So that you recognise it later, such as “Office printer”.", "Para que lo reconozca más adelante, por ejemplo «Impresora de la oficina»."},
    Entry{Text::label_default, "Mail program", "Programa de correo"},
    Entry{Text::add_button, "Create a password", "Crear una contraseña"},
    Entry{Text::new_password_title, "Password for {}", "Contraseña para {}"},
    Entry{Text::new_password_intro,
        "Enter it in the mail program now. It is shown only this once: if you lose it, you simply create another one.",
        "Introdúzcala ahora en el programa de correo. Solo se muestra esta vez: si la pierde, basta con crear otra."},
    Entry{Text::your_password, "App password", "Contraseña de aplicación"},
    Entry{Text::password_hint,
        "Hyphens and capitals do not matter when you type it.",
        "Al escribirla no importan los guiones ni las mayúsculas."},
    Entry{Text::password_gone_title, "This password is not shown again", "Esta contraseña no se vuelve a mostrar"},
    Entry{Text::password_gone_text,
        "It works as before. If you have not noted it, revoke it and create another one.",
        "Sigue funcionando. Si no la ha anotado, revóquela y cree otra."},
    Entry{Text::settings_title, "Settings for your mail program", "Ajustes para su programa de correo"},
    Entry{Text::settings_intro,
        "Choose “POP3” as the kind of account, and enter:",
        "Elija «POP3» como tipo de cuenta e introduzca:"},
    Entry{Text::setting_server, "Server for incoming mail", "Servidor de correo entrante"},
    Entry{Text::setting_port, "Port and security", "Puerto y seguridad"},
    Entry{Text::setting_user, "User name", "Nombre de usuario"},
    Entry{Text::setting_password, "Password", "Contraseña"},
    Entry{Text::setting_as_shown, "the one made for this program", "la creada para este programa"},
    Entry{Text::security_tls, "with SSL/TLS", "con SSL/TLS"},
    Entry{Text::security_starttls, "with STARTTLS", "con STARTTLS"},
    Entry{Text::security_none, "without encryption (only if the device knows nothing else)", "sin cifrado (solo si el dispositivo no admite otra cosa)"},
    Entry{Text::outgoing_note,
        "For sending mail, use the settings that your provider or administrator gave you: they are not part of this service.",
        "Para enviar correo, use los ajustes que le haya dado su proveedor o administrador: no forman parte de este servicio."},
    Entry{Text::done, "Done", "Listo"},
    Entry{Text::back, "Back to your devices", "Volver a sus dispositivos"},
    Entry{Text::again, "Back to the start", "Volver al inicio"},
    Entry{Text::error_expired_title, "That sign-in is over", "Ese inicio de sesión ha terminado"},
    Entry{Text::error_expired_text,
        "It took longer than ten minutes, was used already, or began in another browser. Nothing was changed; please begin again.",
        "Ha tardado más de diez minutos, ya se había usado o comenzó en otro navegador. No se ha cambiado nada; empiece de nuevo."},
    Entry{Text::error_form_title, "That page was too old", "Esa página era demasiado antigua"},
    Entry{Text::error_form_text,
        "To keep you safe, nothing was done. Please go back and try again.",
        "Por su seguridad no se ha hecho nada. Vuelva atrás e inténtelo otra vez."},
    Entry{Text::error_declined_title, "You were not signed in", "No se ha iniciado sesión"},
    Entry{Text::error_declined_text,
        "The sign-in was cancelled, or your provider did not allow it.",
        "El inicio de sesión se canceló o su proveedor no lo permitió."},
    Entry{Text::error_later_title, "This does not work at the moment", "Esto no funciona en este momento"},
    Entry{Text::error_later_text,
        "Another server did not answer as it should. Nothing is lost; please try again in a few minutes.",
        "Otro servidor no ha respondido como debía. No se ha perdido nada; inténtelo de nuevo en unos minutos."},
    Entry{Text::error_setup_title, "Your administrator must look at this", "Su administrador debe revisarlo"},
    Entry{Text::error_setup_text,
        "Something is not set up as it should be. Trying again will not help; the details are in the server’s log.",
        "Algo no está configurado como debería. Volver a intentarlo no servirá; los detalles están en el registro del servidor."},
    Entry{Text::error_no_mailbox_title, "No mailbox for this address", "No hay buzón para esta dirección"},
    Entry{Text::error_no_mailbox_text,
        "You signed in as {}, but this service has no mailbox of that name. If you have another account, sign in with that one.",
        "Ha iniciado sesión como {}, pero este servicio no tiene ningún buzón con ese nombre. Si tiene otra cuenta, inicie sesión con ella."},
    Entry{Text::error_nobody_text,
        "Your provider did not say which e-mail address you have. Please tell your administrator.",
        "Su proveedor no ha indicado su dirección de correo. Avise a su administrador."},
    Entry{Text::error_unverified_title, "Your address is not confirmed", "Su dirección no está confirmada"},
    Entry{Text::error_unverified_text,
        "Your provider says that it has not verified the address {}. Confirm it there, then sign in again.",
        "Su proveedor indica que no ha verificado la dirección {}. Confírmela allí e inicie sesión de nuevo."},
    Entry{Text::error_other_person_title, "This mailbox belongs to another sign-in", "Este buzón pertenece a otro inicio de sesión"},
    Entry{Text::error_other_person_text,
        "Somebody else has signed in for {} before. If the mailbox is yours, ask your administrator to release it.",
        "Otra persona ya ha iniciado sesión para {}. Si el buzón es suyo, pida a su administrador que lo libere."},
    Entry{Text::error_refused_title, "The mailbox did not open", "No se ha podido abrir el buzón"},
    Entry{Text::error_refused_text,
        "You signed in as {}, but the mail server does not let you open that mailbox. Check that you used the right account, or ask your administrator.",
        "Ha iniciado sesión como {}, pero el servidor de correo no le permite abrir ese buzón. Compruebe que usó la cuenta correcta o consulte a su administrador."},
    Entry{Text::error_too_many_title, "Please wait a little", "Espere un poco"},
    Entry{Text::error_too_many_text,
        "There were many sign-ins from your network. Please try again in ten minutes.",
        "Ha habido muchos inicios de sesión desde su red. Inténtelo de nuevo en diez minutos."},
    Entry{Text::error_too_many_devices_title, "You have many devices already", "Ya tiene muchos dispositivos"},
    Entry{Text::error_too_many_devices_text,
        "Revoke the passwords that you no longer use, then add the new device.",
        "Revoque las contraseñas que ya no use y después añada el dispositivo nuevo."},
    Entry{Text::error_not_found_title, "There is no such page", "Esa página no existe"},
    Entry{Text::error_not_found_text, "The address may be mistyped.", "Puede que la dirección esté mal escrita."},
    Entry{Text::error_method_title, "That is not possible here", "Eso no es posible aquí"},
    Entry{Text::error_method_text, "Please use the buttons of the page.", "Use los botones de la página."},
    Entry{Text::provider_says, "Your provider says: {}", "Su proveedor dice: {}"},
    Entry{Text::language, "Language", "Idioma"},
};
// clang-format on

constexpr bool is_in_order() {
    for (std::size_t i = 0; i < table.size(); ++i)
        if (table[i].which != static_cast<Text>(i) || table[i].english.empty() || table[i].spanish.empty())
            return false;
    return table.size() == static_cast<std::size_t>(Text::count);
}
static_assert(is_in_order());

/// "es" of "es-MX ;q=0.8".
std::string_view primary_of(std::string_view range) {
    range.remove_prefix(std::min(range.find_first_not_of(' '), range.size()));
    return range.substr(0, range.find_first_of("-; "));
}

double weight_of(std::string_view range) {
    const auto q = range.find(";q=");
    const auto spaced = range.find("; q=");
    if (q == std::string_view::npos && spaced == std::string_view::npos) return 1;
    const std::string number(range.substr(q != std::string_view::npos ? q + 3 : spaced + 4, 5));
    return std::strtod(number.c_str(), nullptr);
}

}  // namespace

std::string_view code_of(Language language) { return language == Language::spanish ? "es" : "en"; }

Language choose_language(std::string_view wanted, std::string_view accept_language) {
    for (const auto each : {Language::english, Language::spanish})
        if (wanted == code_of(each)) return each;
    auto best = Language::english;
    double best_weight = 0;
    while (!accept_language.empty()) {
        const auto end = std::min(accept_language.find(','), accept_language.size());
        const auto range = accept_language.substr(0, end);
        accept_language.remove_prefix(std::min(end + 1, accept_language.size()));
        for (const auto each : {Language::english, Language::spanish}) {
            if (!equal_but_for_case(primary_of(range), code_of(each)) || weight_of(range) <= best_weight) continue;
            best = each;
            best_weight = weight_of(range);
        }
    }
    return best;
}

std::string_view text(Language language, Text which) {
    const auto& entry = table.at(static_cast<std::size_t>(which));
    return language == Language::spanish ? entry.spanish : entry.english;
}

}  // namespace popgate::web
