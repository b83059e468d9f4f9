#include "gateway/commands/place.hpp"

#include "gateway/net/blocking_call.hpp"

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include <netdb.h>
#include <sys/socket.h>

namespace popgate::commands {

Place place_of(const std::string& url) {
    const auto kind = url.substr(0, url.find(':'));
    if (url == "gmail:") return {"gmail.googleapis.com", "443", true};
    if (url == "graph:") return {"graph.microsoft.com", "443", true};
    const bool is_inner = kind == "gmail" || kind == "graph" || kind == "rest";
    const auto inner = is_inner ? url.substr(kind.size() + 1) : url;
    const auto parsed = boost::urls::parse_uri(inner);
    if (!parsed || parsed->encoded_host().empty()) return {};
    const std::string scheme(parsed->scheme());
    const bool tls = scheme == "imaps" || scheme == "jmaps" || scheme == "https";
    const auto standard = scheme == "imaps" ? "993" : scheme == "imap" ? "143" : tls ? "443" : "80";
    return {parsed->host_address(), parsed->has_port() ? std::string(parsed->port()) : standard, tls};
}

Lookup look_up(Fiber& fiber, const std::string& host, std::chrono::milliseconds timeout) {
    const auto begin = Clock::now();
    auto found = blocking_call(
        fiber, begin + timeout,
        [host] {
            Lookup lookup;
            addrinfo hints{};
            hints.ai_socktype = SOCK_STREAM;
            addrinfo* all = nullptr;
            if (const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &all); code != 0) {
                lookup.problem = ::gai_strerror(code);
                return lookup;
            }
            for (const auto* each = all; each; each = each->ai_next) {
                char address[NI_MAXHOST] = {};
                if (::getnameinfo(each->ai_addr, each->ai_addrlen, address, sizeof address, nullptr, 0,
                                  NI_NUMERICHOST) == 0)
                    lookup.addresses += (lookup.addresses.empty() ? "" : ", ") + std::string(address);
            }
            ::freeaddrinfo(all);
            return lookup;
        },
        Blocking::names);
    if (!found) found = Lookup{{}, "no name server answered in time", {}};
    found->took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
    return std::move(*found);
}

std::string in_words(const Error& error) {
    return error.detail.empty() ? error.text : error.text + " (" + error.detail + ")";
}

}  // namespace popgate::commands
