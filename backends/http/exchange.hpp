#pragma once

#include "backends/http/client.hpp"

#include <optional>
#include <string_view>

namespace popgate {
class Stream;
}

namespace popgate::http {

/// What became of one request on one connection.
struct Exchanged {
    Response response;
    std::optional<Error> error;  ///< then there may still be a response without its body
    bool answered = false;       ///< the head of an answer came
    bool began = false;          ///< the sink was given something
    bool can_be_kept = false;    ///< the connection may carry another request
};

/// Sends `request` with these headers and reads the answer: a 2xx body into `sink` where there is one, else into
/// Response::body. Nothing is followed or repeated. `through_proxy`: the target is the whole URL.
Exchanged exchange(Fiber& fiber, Stream& stream, const Upstream& upstream, const Request& request, const Url& url,
                   const std::vector<Header>& headers, bool through_proxy, BodySink* sink);

/// Has the upstream's proxy, to which `stream` goes, connect it to the origin (CONNECT, RFC 9110 §9.3.6).
Status open_tunnel(Fiber& fiber, Stream& stream, const Upstream& upstream, const Origin& origin);

}  // namespace popgate::http
