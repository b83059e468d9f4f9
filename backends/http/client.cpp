#include "backends/http/client.hpp"

#include "backends/ascii.hpp"
#include "backends/http/connection_pool.hpp"
#include "backends/http/exchange.hpp"
#include "backends/registry.hpp"
#include "gateway/net/tls.hpp"
#include "gateway/observe/metrics.hpp"

#include <boost/url/parse.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>
#include <random>
#include <utility>

namespace popgate::http {

using namespace std::chrono_literals;

namespace {

constexpr int most_redirects = 5;
constexpr int longest_answering = 3;  // command timeouts, for an answer that is not a message
constexpr std::size_t logged_body = 300;
constexpr auto longest_pause = 1h;  // whatever the server says: it may have meant another year
constexpr auto first_pause = 1s;    // of an upstream that does not say how long; twice as long each time

bool is_redirect(int status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/// Retry-After: seconds, or a date (RFC 9110 §10.2.3).
std::optional<std::chrono::milliseconds> retry_after(const Response& response) {
    const auto text = response.header("Retry-After");
    if (text.empty()) return std::nullopt;
    unsigned seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error == std::errc() && end == text.data() + text.size()) return std::chrono::seconds(seconds);
    std::tm date{};
    const auto* rest = ::strptime(std::string(text).c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date);
    if (!rest) return std::nullopt;
    return std::max<std::chrono::milliseconds>(std::chrono::seconds(::timegm(&date) - std::time(nullptr)), 0s);
}

/// What the server says, or ever longer; never at once, and not in step with other sessions.
std::chrono::milliseconds pause_before_retry(std::optional<std::chrono::milliseconds> told, unsigned tries) {
    thread_local std::minstd_rand random{std::random_device{}()};
    const auto jitter = std::chrono::milliseconds(random() % 250);
    if (told)
        return std::min<std::chrono::milliseconds>(std::max<std::chrono::milliseconds>(*told, 200ms), longest_pause) +
               jitter;
    return first_pause * (1u << std::min(tries, 6u)) / 2 + jitter;
}

Result<Proxy> parse_proxy(const std::string& text) {
    const auto bad = [&] {
        // It may hold a password, so it is not told.
        return Error{Errc::permanent, "the proxy is no URL such as http://proxy.example.com:3128", {}};
    };
    const auto url = boost::urls::parse_uri(text);
    if (!url || url->scheme() != "http" || url->encoded_host().empty() || url->has_query() || url->has_fragment() ||
        (url->path() != "" && url->path() != "/") || (url->has_port() && url->port_number() == 0))
        return bad();
    Proxy proxy;
    proxy.host = url->host_address();
    proxy.port = url->has_port() ? std::to_string(url->port_number()) : "3128";
    if (url->has_userinfo()) proxy.authorization = basic_authorization(url->user(), url->password());
    return proxy;
}

/// Lets go of what is only held until a body begins.
class BeginningSink final : public BodySink {
public:
    BeginningSink(Limiter::Slot& slot, BodySink& sink) : slot_(slot), sink_(sink) {}
    bool write(std::string_view octets) noexcept override {
        if (!std::exchange(began_, true)) slot_.begin_body();
        return sink_.write(octets);
    }

private:
    Limiter::Slot& slot_;
    BodySink& sink_;
    bool began_ = false;
};

}  // namespace

std::string_view Response::header(std::string_view name) const {
    const auto found = std::ranges::find_if(headers, [&](const auto& h) { return equal_but_for_case(h.name, name); });
    return found == headers.end() ? std::string_view() : std::string_view(found->value);
}

bool Response::is_json() const {
    std::string type(header("Content-Type"));
    type.resize(std::min(type.find(';'), type.size()));
    while (type.ends_with(' ')) type.pop_back();
    std::ranges::transform(type, type.begin(), lower);
    return type == "application/json" || (type.starts_with("application/") && type.ends_with("+json"));
}

Result<std::shared_ptr<Upstream>> Upstream::make(const BackendOptions& options, const UpstreamLimits& limits) {
    auto upstream = std::make_shared<Upstream>();
    auto tls = TlsClientContext::make(options.ca_file, options.verify_certificate);
    if (!tls) return tls.error();
    upstream->tls = std::move(*tls);
    if (!options.http_proxy.empty()) {
        auto proxy = parse_proxy(options.http_proxy);
        if (!proxy) return proxy.error();
        upstream->proxy = std::move(*proxy);
    }
    upstream->connect_timeout = options.connect_timeout;
    upstream->command_timeout = options.command_timeout;
    upstream->patience = std::min(upstream->patience, options.command_timeout / 2);
    auto own = limits;
    if (options.concurrent_requests > 0) own.concurrent_per_account = options.concurrent_requests;
    // The last request of an account is never one that nobody waits for.
    upstream->read_ahead = own.concurrent_per_account == 1 ? 0 : options.read_ahead;
    upstream->limiter = std::make_shared<Limiter>(own);
    if (const auto kind = metrics::backend_kind_of(options.url); kind != metrics::BackendKind::other)
        upstream->kind = kind;
    return upstream;
}

Client::Client(Fiber& fiber, std::shared_ptr<const Upstream> upstream, std::string account,
               std::unique_ptr<Credential> credential)
    : fiber_(fiber), upstream_(std::move(upstream)), account_(std::move(account)), credential_(std::move(credential)) {
    const auto fingerprint = credential_->fingerprint();
    is_proved_ = fingerprint.empty();
    account_by_credential_ = is_proved_ ? account_ : account_ + std::string(1, '\0') + fingerprint;
}

Client::Client(Fiber& fiber, const Client& of, Limiter::Slot slot)
    : fiber_(fiber),
      upstream_(of.upstream_),
      account_(of.account_),
      credential_(of.credential_),
      account_by_credential_(of.account_by_credential_),
      is_proved_(true),
      slot_ahead_(std::move(slot)),
      is_ahead_(true) {}

Client::Client(Client&&) noexcept = default;

Client::~Client() = default;

std::optional<Client> Client::ahead(Fiber& fiber, std::uint32_t units) const {
    if (!is_proved_) return std::nullopt;
    auto slot = upstream_->limiter->acquire_spare(account_, units);
    if (!slot) return std::nullopt;
    return Client(fiber, *this, std::move(*slot));
}

Result<Response> Client::send(const Request& request) { return ask(request, nullptr); }

Result<Response> Client::stream(const Request& request, BodySink& sink) {
    return is_ahead_ ? ask_ahead(request, sink) : ask(request, &sink);
}

/// Until when the server wants to be left alone, if it does; others of the account are held up, too.
std::optional<Deadline> Client::pause_for(const Response& response, unsigned tries) {
    const bool is_throttled = response.status == 429 || response.status == 503;
    const auto verdict = upstream_->judge ? upstream_->judge(response) : Verdict{};
    if (!is_throttled && verdict.kind != Verdict::Kind::throttled) return std::nullopt;
    const auto told = retry_after(response);
    const auto until = Clock::now() + pause_before_retry(told ? told : verdict.wait, tries);
    if (upstream_->kind) metrics::upstream_throttled.add(*upstream_->kind);
    // Without a word about how long, a 503 may be any accident of one request.
    if (response.status != 503 || told) {
        // Where it is proved, too: proof may end before the pause does.
        upstream_->limiter->back_off(account_by_credential_, until);
        if (is_proved_) upstream_->limiter->back_off(account_, until);
    }
    return until;
}

Result<Response> Client::ask_ahead(const Request& request, BodySink& sink) {
    if (!slot_ahead_) return Error{Errc::temporary, "nothing more is read ahead", {}};
    auto slot = std::move(*slot_ahead_);
    slot_ahead_.reset();
    BeginningSink beginning(slot, sink);
    auto answered = follow(request, &beginning);
    if (answered && !answered->ok()) (void)pause_for(*answered, 0);
    return answered;
}

Result<Response> Client::ask(const Request& request, BodySink* sink) {
    const auto patience = Clock::now() + upstream_->patience;
    bool renewed = false;
    for (unsigned tries = 0;; ++tries) {
        auto answered = [&]() -> Result<Response> {
            // Given back before any pause: others of the account may go on, and so that nothing is held in vain.
            auto slot = acquire(request.units, patience);
            if (!slot) return slot.error();
            auto result = [&] {
                if (sink) {
                    BeginningSink beginning(*slot, *sink);
                    return follow(request, &beginning);
                }
                const Fiber::LimitScope limit(fiber_, Clock::now() + longest_answering * upstream_->command_timeout);
                return follow(request, nullptr);
            }();
            // Before the slot goes to the next one with the same password, who need not be alone then.
            if (result && result->url.origin == request.url.origin) judge_credential(*result);
            return result;
        }();
        if (!answered) return answered;
        const auto& response = *answered;
        if (response.ok() || fiber_.interrupted()) return answered;
        if (response.status == 401 && !std::exchange(renewed, true)) {
            const auto another = credential_->renew(fiber_);
            if (!another) return another.error();
            if (!*another) return answered;
            continue;
        }
        const auto until = pause_for(response, tries);
        if (!until) return answered;
        if (*until > std::min(patience, fiber_.limit()))
            return Error{Errc::temporary, "the mail server is asked too much",
                         upstream_->logs_answers ? to_error(response, "throttled").detail
                                                 : "status " + std::to_string(response.status)};
        while (Clock::now() < std::min(*until, fiber_.limit()) && !fiber_.interrupted()) fiber_.sleep_until(*until);
    }
}

namespace {

// Not the query: cursors and names of a search are nobody's, but a description may put anything there.
void trace_request(const Fiber& fiber, const std::string& method, const Url& url) {
    if (!fiber.trace()) return;
    const auto text = url.to_string();
    fiber.trace()->hear("upstream", "> " + method + ' ' + text.substr(0, text.find('?')));
}

void trace_answer(const Fiber& fiber, const Exchanged& result, Deadline asked) {
    if (!fiber.trace()) return;
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - asked).count();
    const auto what = result.error ? result.error->text + " (" + result.error->detail + ")"
                                   : "status " + std::to_string(result.response.status);
    fiber.trace()->hear("upstream", "< " + what + ", " + std::to_string(ms) + " ms");
}

}  // namespace

Result<Limiter::Slot> Client::acquire(std::uint32_t units, Deadline patience) {
    auto& limiter = *upstream_->limiter;
    is_proved_ = is_proved_ || limiter.is_proved(account_by_credential_);
    if (!is_proved_) {
        auto slot = limiter.acquire(fiber_, account_by_credential_, units, patience, true);
        is_proved_ = limiter.is_proved(account_by_credential_);  // by whoever was before this one
        if (!slot || !is_proved_) return slot;
    }
    return limiter.acquire(fiber_, account_, units, patience);
}

void Client::judge_credential(const Response& response) {
    const bool is_refused = response.status == 401;
    if (account_by_credential_ == account_ || (!response.ok() && !is_refused)) return;
    if (is_proved_ == response.ok()) return;
    is_proved_ = response.ok();
    upstream_->limiter->set_proved(account_by_credential_, is_proved_);
}

// A GET goes where the server points, but the credential does not leave the first origin, and nothing leaves TLS.
Result<Response> Client::follow(const Request& request, BodySink* sink) {
    Url url = request.url;
    for (int redirects = 0;; ++redirects) {
        const bool at_home = url.origin == request.url.origin;
        auto answered = ask_once(request, url, at_home, sink);
        if (!answered) return answered;
        const auto status = answered->status;
        if (!at_home && (status == 401 || status == 403))
            return Error{Errc::permanent, "the mail server sends popgate to another one, which knows no password of it",
                         request.url.origin.to_string() + " redirects to " + url.origin.to_string()};
        const bool may_follow = request.follows_redirects && (request.method == "GET" || request.method == "HEAD");
        if (!is_redirect(status) || !may_follow) return answered;
        const auto target = resolve(url, answered->header("Location"));
        if (!target || redirects == most_redirects || (url.origin.tls && !target->origin.tls))
            return Error{Errc::temporary, "the mail server redirects to nowhere",
                         url.to_string() + " to " + std::string(answered->header("Location").substr(0, logged_body))};
        url = *target;
    }
}

Result<Response> Client::ask_once(const Request& request, const Url& url, bool with_credential, BodySink* sink) {
    auto& pool = ConnectionPool::of(fiber_.context());
    for (bool repeated = false;;) {
        std::vector<Header> headers;
        if (with_credential) {
            auto header = credential_->header(fiber_);
            if (!header) return header.error();
            if (!header->first.empty()) headers.push_back({header->first, header->second.reveal()});
        }
        auto connection =
            repeated ? nullptr
                     : pool.take(fiber_, upstream_.get(), url.origin, account_by_credential_, !request.may_repeat);
        if (!connection) {
            auto made = connect(fiber_, upstream_, url.origin, account_by_credential_);
            if (!made) return made.error();
            connection = std::move(*made);
        }
        const bool through_proxy = upstream_->proxy && !url.origin.tls;
        if (through_proxy && !upstream_->proxy->authorization.empty())
            headers.push_back({"Proxy-Authorization", upstream_->proxy->authorization});
        const auto asked = Clock::now();
        trace_request(fiber_, request.method, url);
        auto result = exchange(fiber_, *connection->stream, *upstream_, request, url, headers, through_proxy, sink);
        for (auto& header : headers) Secret::wipe(header.value);
        trace_answer(fiber_, result, asked);
        if (result.can_be_kept) pool.give(std::move(connection));
        if (!result.error) return std::move(result.response);
        // A server that was silent for a whole timeout is not asked again: the client's patience is not longer.
        const bool was_silent = Clock::now() - asked >= upstream_->command_timeout;
        if (result.began || repeated || was_silent || fiber_.interrupted() || !request.may_repeat ||
            result.error->code != Errc::temporary)
            return *result.error;
        repeated = true;
    }
}

Error to_error(const Response& response, std::string_view what) {
    const int status = response.status;
    Error error{Errc::permanent, std::string(what) + " (status " + std::to_string(status) + ")", {}};
    if (status == 401)
        error.code = Errc::auth;
    else if (status == 404 || status == 410)
        error.code = Errc::gone;
    else if (status < 400 || status == 408 || status == 429 || status >= 500)
        error.code = Errc::temporary;
    error.detail = response.url.to_string().substr(0, logged_body) + ": " + response.body.substr(0, logged_body);
    return error;
}

}  // namespace popgate::http
