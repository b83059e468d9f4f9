#include "gateway/commands/admin_client.hpp"

#include "gateway/config/endpoint.hpp"

#include <boost/json/parse.hpp>

#include <httplib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>

namespace popgate::commands {

namespace {

constexpr std::string_view unix_scheme = "unix:";

/// The system's own error, which the library does not tell. 0: a connection was made.
int why_no_connection(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return ENAMETOOLONG;
    std::memcpy(address.sun_path, path.data(), path.size());
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const bool connected =
        probe >= 0 && ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    const int cause = connected ? 0 : errno;
    if (probe >= 0) ::close(probe);
    return cause;
}

}  // namespace

struct AdminClient::Client {
    httplib::Client http;

    Result<Answer> judge(const httplib::Result& result, const std::string& address) const {
        if (result) return Answer{static_cast<unsigned>(result->status), result->body};
        const auto failed = [&address](const std::string& why) {
            return Error{Errc::temporary, address + ": " + why, {}};
        };
        if (result.error() != httplib::Error::Connection) return failed("the server does not answer");
        const int cause =
            address.starts_with(unix_scheme) ? why_no_connection(address.substr(unix_scheme.size())) : ECONNREFUSED;
        switch (cause) {
            case 0: return failed("the server does not answer");
            case ENOENT:
            case ECONNREFUSED: return failed("no server is running there");
            case EACCES: return failed("only the server's user and group may come here");
            default: return failed(std::generic_category().message(cause));
        }
    }
};

boost::json::value AdminClient::Answer::json() const {
    boost::system::error_code no_json;
    auto value = boost::json::parse(body, no_json);
    return no_json ? boost::json::value() : value;
}

AdminClient::AdminClient(std::string address, std::chrono::seconds patience) : address_(std::move(address)) {
    const auto endpoint = parse_endpoint(address_);
    if (endpoint) {
        auto ip = endpoint->address();
        if (ip.is_unspecified())
            ip = ip.is_v6() ? boost::asio::ip::address(boost::asio::ip::address_v6::loopback())
                            : boost::asio::ip::address_v4::loopback();
        client_ = std::make_unique<Client>(Client{httplib::Client(ip.to_string(), endpoint->port())});
    } else {
        const auto path = address_.starts_with(unix_scheme) ? address_.substr(unix_scheme.size()) : address_;
        client_ = std::make_unique<Client>(Client{httplib::Client(path, 80)});
        client_->http.set_address_family(AF_UNIX);
    }
    client_->http.set_default_headers({{"Host", "localhost"}});
    client_->http.set_keep_alive(true);
    client_->http.set_connection_timeout(patience);
    client_->http.set_read_timeout(patience);
    client_->http.set_write_timeout(patience);
}

AdminClient::~AdminClient() = default;

Result<AdminClient::Answer> AdminClient::get(const std::string& path, const Fields& query) {
    const httplib::Params parameters(query.begin(), query.end());
    return client_->judge(client_->http.Get(path, parameters, httplib::Headers()), address_);
}

Result<AdminClient::Answer> AdminClient::post(const std::string& path, const Fields& form) {
    return client_->judge(client_->http.Post(path, httplib::Params(form.begin(), form.end())), address_);
}

}  // namespace popgate::commands
