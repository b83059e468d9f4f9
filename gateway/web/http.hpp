#pragma once

#include "gateway/web/forms.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace popgate {
class Fiber;
}

namespace popgate::web {

/// What a request has come over, by the address that the server listens on there.
enum class Reach { network, loopback, unix_socket };

/// An HTTP request as far as pages and documents look at it (RFC 9110). All of it is what a stranger sent, bounded.
struct Request {
    std::string method;  ///< in capitals, as "GET"
    std::string path;    ///< as it was written, without the query
    Fields query;
    Fields form;  ///< of an application/x-www-form-urlencoded body
    Fields cookies;
    Fields headers;  ///< names in lower case
    std::string body;
    std::string address;  ///< the client's IP address, without the port; empty over a Unix socket
    Reach reach = Reach::network;

    std::string header(std::string_view name) const { return headers.get(name); }
};

struct Response {
    unsigned status = 200;
    std::string content_type = "text/html; charset=utf-8";
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;
};

/// Answers one request; may suspend, up to the fiber's limit.
using Handler = std::function<Response(Fiber&, const Request&)>;

}  // namespace popgate::web
