#pragma once

#include "backends/http/credential.hpp"
#include "backends/http/url.hpp"
#include "backends/limiter.hpp"
#include "backends/mailbox.hpp"
#include "gateway/observe/metric_labels.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace popgate {
class TlsClientContext;
struct BackendOptions;
}  // namespace popgate

namespace popgate::http {

struct Header {
    std::string name;
    std::string value;
};

struct Request {
    std::string method = "GET";
    Url url;
    std::vector<Header> headers{};
    std::string body{};
    std::string content_type{};
    std::uint32_t units = 1;  ///< what it costs of UpstreamLimits::units_per_minute
    /// False for what must not be done twice where the first answer was lost (a move that gives a new id). What the
    /// server has refused with 401, 429 or 503 is repeated in any case.
    bool may_repeat = true;
    bool wants_message =
        false;  ///< what is streamed is no JSON: an error that comes with 200 must not be taken for mail
    bool follows_redirects = true;  ///< false where `headers` are for this server alone
};

struct Response {
    int status = 0;
    std::vector<Header> headers;
    std::string body;  ///< inflated; empty where it was streamed
    Url url;           ///< the one that answered in the end, after redirects

    /// The first of that name, whatever its case; empty when there is none.
    std::string_view header(std::string_view name) const;
    bool ok() const { return status >= 200 && status < 300; }
    /// True where the Content-Type says JSON, problem+json for one. Errors are often HTML even where JSON is promised.
    bool is_json() const;
};

/// What an answer that is no success means for the request.
struct Verdict {
    enum class Kind { final, throttled };
    Kind kind = Kind::final;
    std::optional<std::chrono::milliseconds> wait{};  ///< what the body says; Retry-After is read in any case
};

struct Proxy {
    std::string host;
    std::string port;
    std::string authorization;  ///< the value of Proxy-Authorization; empty: none
};

/// One upstream as its route describes it: shared by all sessions, so const but for the limiter, which locks itself.
struct Upstream {
    std::shared_ptr<TlsClientContext> tls;  ///< never null
    std::optional<Proxy> proxy;             ///< CONNECT for https:, absolute targets for http:
    std::chrono::milliseconds connect_timeout{30'000};
    std::chrono::milliseconds command_timeout{60'000};  ///< longest silence within one request
    std::chrono::milliseconds patience{25'000};  ///< the longest that a client is kept waiting for a throttled upstream
    std::size_t longest_answer = 16 * 1024 * 1024;  ///< octets of an answer that is held in memory
    bool logs_answers = true;  ///< false: what it says may hold secrets, so of a refusal the log has the status alone
    std::shared_ptr<Limiter> limiter;
    std::uint32_t read_ahead = 0;                ///< octets of a session that nobody has asked for yet; 0: none
    std::optional<metrics::BackendKind> kind{};  ///< whose pauses are counted; none: this is no backend's
    /// 429 and 503 are throttling in any case; an API may know more (Google's 403 with a rate reason). May be empty.
    std::function<Verdict(const Response&)> judge{};
    std::string user_agent = "popgate/" POPGATE_VERSION " (gzip)";  // Google compresses only for who says so here

    /// What every kind of HTTP backend takes from its route: TLS, proxy, timeouts.
    static Result<std::shared_ptr<Upstream>> make(const BackendOptions& options, const UpstreamLimits& limits);
};

/// The requests of one session, on its fiber. Connections are kept for other sessions of the same account, credential,
/// io_context, origin and Upstream.
///
/// A password that comes from a client and that the upstream has not taken yet (by any 2xx, within the hour) has one
/// request at a time, and pauses of its own: whoever guesses at somebody's passwords holds up himself alone.
///
/// Each call: waits for the limiter; asks; follows redirects of GET (the credential goes to the first origin alone, and
/// only from https: to https:); on 401 renews the credential and asks once more; when throttled waits as told, within
/// Upstream::patience, else Errc::temporary with "... please wait and retry". A connection that is lost, or was kept
/// and turns out to be dead, is replaced once and the request repeated if Request::may_repeat; else that is
/// Errc::temporary.
///
/// An answer of any other status is a Response: what 404 or 403 means is the backend's to say. See to_error().
class Client {
public:
    /// `account` names the account, for its limits and its connections.
    Client(Fiber& fiber, std::shared_ptr<const Upstream> upstream, std::string account,
           std::unique_ptr<Credential> credential);
    Client(Client&&) noexcept;
    ~Client();

    /// The whole body in memory, at most Upstream::longest_answer octets.
    Result<Response> send(const Request& request);

    /// The body of a 200 goes to `sink` as it comes, inflated, once: nothing is repeated after its first octet. Success
    /// means that all of it came, by its own Content-Length or last chunk; a body that only ends with its connection is
    /// refused, and so is an HTML page. Errc::sink_closed when the sink wants no more. Any other success is refused.
    /// Other bodies are in Response::body, cut at 64 KiB.
    Result<Response> stream(const Request& request, BodySink& sink);

    /// Another one for one stream() that nobody waits for yet, on a fiber of its own; it may outlive this one. Nothing
    /// where the limiter has no room to spare at once, or while the password is not proved. It neither renews the
    /// credential nor repeats what was refused; a pause that the server asks for is kept by all.
    std::optional<Client> ahead(Fiber& fiber, std::uint32_t units) const;

    Fiber& fiber() { return fiber_; }
    const Upstream& upstream() const { return *upstream_; }

private:
    Client(Fiber& fiber, const Client& of, Limiter::Slot slot);
    Result<Response> ask(const Request& request, BodySink* sink);
    Result<Response> ask_ahead(const Request& request, BodySink& sink);
    std::optional<Deadline> pause_for(const Response& response, unsigned tries);
    Result<Limiter::Slot> acquire(std::uint32_t units, Deadline patience);
    void judge_credential(const Response& response);
    Result<Response> follow(const Request& request, BodySink* sink);
    Result<Response> ask_once(const Request& request, const Url& url, bool with_credential, BodySink* sink);

    Fiber& fiber_;
    std::shared_ptr<const Upstream> upstream_;
    std::string account_;
    std::shared_ptr<Credential> credential_;
    std::string account_by_credential_;
    bool is_proved_;
    std::optional<Limiter::Slot> slot_ahead_;  // of what ahead() gave, until it has asked
    bool is_ahead_ = false;
};

/// An Error for an answer that is no success and means nothing better to the caller: 401 is auth, 403 and other 4xx
/// permanent, 404 and 410 gone, 408, 429 and 5xx temporary. `what` begins its text ("the mailbox cannot be listed");
/// the body's beginning goes to the log alone.
Error to_error(const Response& response, std::string_view what);

}  // namespace popgate::http
