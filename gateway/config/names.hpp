#pragma once

#include "gateway/config/config.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace popgate {

/// How the values of an enumeration are written, in a file and on the command line.
template <class E>
using Names = std::vector<std::pair<std::string_view, E>>;

inline const Names<TlsMode> tls_mode_names = {
    {"none", TlsMode::none}, {"starttls", TlsMode::starttls}, {"implicit", TlsMode::implicit}};
inline const Names<TlsVersion> tls_version_names = {
    {"1.0", TlsVersion::tls1_0}, {"1.1", TlsVersion::tls1_1}, {"1.2", TlsVersion::tls1_2}, {"1.3", TlsVersion::tls1_3}};
inline const Names<LogFormat> log_format_names = {{"text", LogFormat::text}, {"json", LogFormat::json}};
inline const Names<LogLevel> log_level_names = {
    {"debug", LogLevel::debug}, {"info", LogLevel::info}, {"warning", LogLevel::warning}, {"error", LogLevel::error}};
inline const Names<StartTls> starttls_names = {{"require", StartTls::require}, {"none", StartTls::none}};
inline const Names<ClientCertificates> client_certificates_names = {{"off", ClientCertificates::off},
                                                                    {"optional", ClientCertificates::optional},
                                                                    {"required", ClientCertificates::required}};
inline const Names<ClientAuth> client_auth_names = {{"passthrough", ClientAuth::passthrough},
                                                    {"password-file", ClientAuth::password_file},
                                                    {"pam", ClientAuth::pam},
                                                    {"app-passwords", ClientAuth::app_passwords},
                                                    {"http", ClientAuth::http},
                                                    {"certificate", ClientAuth::certificate},
                                                    {"oauth", ClientAuth::oauth}};
inline const Names<UpstreamAuth> upstream_auth_names = {{"client", UpstreamAuth::client},
                                                        {"stored", UpstreamAuth::stored},
                                                        {"oauth", UpstreamAuth::oauth},
                                                        {"master", UpstreamAuth::master}};
inline const Names<oauth::Grant> grant_names = {{"account", oauth::Grant::account},
                                                {"client-credentials", oauth::Grant::client_credentials},
                                                {"service-account", oauth::Grant::service_account}};
inline const Names<WithoutLock> without_lock_names = {{"refuse", WithoutLock::refuse},
                                                      {"read-only", WithoutLock::read_only}};
inline const Names<WithoutIndex> without_index_names = {{"refuse", WithoutIndex::refuse},
                                                        {"serve", WithoutIndex::serve}};
inline const Names<WithoutThrottles> without_throttles_names = {{"refuse", WithoutThrottles::refuse},
                                                                {"local", WithoutThrottles::local}};
inline const Names<LockMode> lock_mode_names = {{"exclusive", LockMode::exclusive}, {"shared", LockMode::shared}};
inline const Names<Sizes> sizes_names = {
    {"backend", Sizes::backend}, {"learned", Sizes::learned}, {"exact", Sizes::exact}};
inline const Names<OnDelete> on_delete_names = {{"delete", OnDelete::destroy},      {"purge", OnDelete::purge},
                                                {"trash", OnDelete::trash},         {"archive", OnDelete::archive},
                                                {"mark-read", OnDelete::mark_read}, {"keep", OnDelete::keep}};
inline const Names<rest::Paging> paging_names = {{"none", rest::Paging::none},
                                                 {"cursor", rest::Paging::cursor},
                                                 {"offset", rest::Paging::offset},
                                                 {"page", rest::Paging::page}};
inline const Names<rest::DateForm> date_form_names = {{"rfc3339", rest::DateForm::rfc3339},
                                                      {"epoch-seconds", rest::DateForm::epoch_seconds},
                                                      {"epoch-milliseconds", rest::DateForm::epoch_milliseconds}};
inline const Names<MessageOrder> message_order_names = {{"oldest-first", MessageOrder::oldest_first},
                                                        {"newest-first", MessageOrder::newest_first}};

template <class E>
std::string_view name_of(E value, const Names<E>& names) {
    for (const auto& [name, meaning] : names) {
        if (meaning == value) return name;
    }
    return {};
}

inline std::string in_quotes(std::string_view text) { return '"' + std::string(text) + '"'; }

/// "a", "b", "c"
inline std::string listed(const std::vector<std::string_view>& names, std::string_view separator = ", ") {
    std::string out;
    for (const std::string_view name : names) {
        if (!out.empty()) out += separator;
        out += in_quotes(name);
    }
    return out;
}

}  // namespace popgate
