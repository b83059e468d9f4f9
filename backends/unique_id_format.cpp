#include "backends/unique_id_format.hpp"

#include "backends/unique_id_template.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <stdexcept>

namespace popgate {

using unique_id::Source;
using unique_id::Template;

namespace {

constexpr std::size_t most_octets = 70;  // RFC 1939 §7

bool is_printable(char c) { return c >= 0x21 && c <= 0x7E; }

struct Named {
    std::string_view name;
    std::string_view text;  ///< as a template
};

constexpr Named servers[] = {
    {"dovecot", "%08Xu%08Xv"}, {"dovecot-upper", "%08XUu%08XUv"},
    {"dovecot-0.99", "%v.%u"}, {"cyrus", "%v.%u"},
    {"cyrus-uid", "%u"},       {"cyrus-courier", "%v-%u"},
    {"uw", "%08Xv%08Xu"},      {"gmail", "GmailId%{gmail_id | hex}"},
};

/// Courier's POP3 server numbers messages itself. A number of its version 1 has no validity; what it saw before that
/// has no number, but the file's name.
enum class Courier { none, newest, v1, v0 };

constexpr std::pair<std::string_view, Courier> couriers[] = {
    {"courier", Courier::newest},
    {"courier-v2", Courier::newest},
    {"courier-v1", Courier::v1},
    {"courier-v0", Courier::v0},
};

std::string escaped_as_courier_does(std::string_view name) {
    static constexpr char digits[] = "0123456789ABCDEF";
    std::string text;
    for (const char c : name) {
        if (is_printable(c) && c != '\'' && c != '"' && c != '+') {
            text += c;
            continue;
        }
        const auto octet = static_cast<unsigned char>(c);
        text += {'+', digits[octet >> 4], digits[octet & 15]};
    }
    return text;
}

std::string as_courier(Courier version, const UniqueIdParts& parts) {
    if (version == Courier::v0 || parts.uid == 0) return escaped_as_courier_does(parts.file_name);
    const auto id = "UID" + std::to_string(parts.uid);
    return version == Courier::v1 || parts.uid_validity == 0 ? id : id + "-" + std::to_string(parts.uid_validity);
}

std::string known_names() {
    std::string names = "native";
    for (const auto& each : servers) names += ", " + std::string(each.name);
    for (const auto& each : couriers) names += ", " + std::string(each.first);
    return names;
}

}  // namespace

struct UniqueIdFormat::Pieces {
    Courier courier = Courier::none;
    Template made_of;  // otherwise
};

Result<UniqueIdFormat> UniqueIdFormat::parse(std::string_view text) {
    UniqueIdFormat format;
    if (text == "native") return format;
    if (const auto* const named = std::ranges::find(couriers, text, &std::pair<std::string_view, Courier>::first);
        named != std::end(couriers)) {
        format.pieces_ = std::make_shared<const Pieces>(Pieces{named->second, {}});
        return format;
    }
    const auto* const server = std::ranges::find(servers, text, &Named::name);
    if (server == std::end(servers) && text.find('%') == std::string_view::npos)
        return Error{
            Errc::permanent,
            "\"" + std::string(text) + "\" is no known format (" + known_names() + ") and no template with a %",
            {}};
    auto made_of = Template::parse(server == std::end(servers) ? text : server->text);
    if (!made_of) return made_of.error();
    format.pieces_ = std::make_shared<const Pieces>(Pieces{Courier::none, std::move(*made_of)});
    return format;
}

bool UniqueIdFormat::is_couriers() const { return !is_native() && pieces_->courier != Courier::none; }

bool UniqueIdFormat::needs_uid() const {
    return is_couriers() ? pieces_->courier != Courier::v0 : !is_native() && pieces_->made_of.uses(Source::uid);
}

bool UniqueIdFormat::needs_uid_validity() const {
    return is_couriers() ? pieces_->courier == Courier::newest
                         : !is_native() && pieces_->made_of.uses(Source::uid_validity);
}

bool UniqueIdFormat::needs_gmail_id() const { return !is_native() && pieces_->made_of.uses(Source::gmail_id); }

bool UniqueIdFormat::needs_file_name() const {
    return is_couriers() ? pieces_->courier == Courier::v0 : !is_native() && pieces_->made_of.uses(Source::file_name);
}

std::string UniqueIdFormat::make(const UniqueIdParts& parts) const {
    return is_couriers() ? as_courier(pieces_->courier, parts) : pieces_->made_of.make(parts);
}

std::string fit_unique_id(std::string_view id) {
    if (!id.empty() && id.size() <= most_octets && std::ranges::all_of(id, is_printable)) return std::string(id);
    // Looked up once: OpenSSL 3 takes longer to find an algorithm by name than to hash a short text.
    static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (EVP_Digest(id.data(), id.size(), digest, nullptr, sha256, nullptr) != 1)
        throw std::runtime_error("SHA-256 does not work");
    constexpr std::size_t kept = 28;                       // of 32
    return "sha256:" + unique_id::to_hex({digest, kept});  // no Maildir base name has a ':'
}

}  // namespace popgate
