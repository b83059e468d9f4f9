#pragma once

#include "backends/http/client.hpp"
#include "backends/jmap/wire.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace popgate::jmap {

/// Where the Session object is looked for.
struct Discovery {
    http::Url url;
    bool ask_dns = false;          ///< see look_up_srv()
    bool clients_password = true;  ///< a refusal is the client's own
    /// Where the credential goes besides the Session object's own origin, if that names them.
    std::vector<http::Origin> trusted_origins{};
};

/// 429 and 503 are known to the client; this is JMAP's own: for Upstream::judge.
http::Verdict judge(const http::Response& response);

/// One account of one JMAP server, on the session's fiber. Every call may suspend. Only open() says Errc::auth.
class Api {
public:
    Api(Fiber& fiber, std::shared_ptr<const http::Upstream> upstream, std::string account,
        std::unique_ptr<http::Credential> credential)
        : client_(fiber, std::move(upstream), std::move(account), std::move(credential)) {}

    /// Fetches the Session object. The credential goes to its origin, and to others that it names for calls and
    /// downloads only where `discovery` trusts these; another one is Errc::permanent.
    Status open(const Discovery& discovery, const std::string& wanted_account);

    struct Reply {
        std::vector<Answer> answers;  ///< one a call, always
        bool too_large = false;       ///< fewer objects at once are to be asked for; some answers are errors then
    };
    Result<Reply> call(const std::vector<Call>& calls);

    /// The Emails that are there still, in any order; of other ids there is none. With as many calls as it takes.
    Result<Emails> emails(const std::vector<std::string>& ids, const std::vector<std::string_view>& properties);

    /// One call, whose arguments get the accountId.
    Call make(std::string_view method, boost::json::object arguments = {}) const;

    /// A blob's octets; the Response is any status that is no success.
    Result<http::Response> download(const std::string& blob, BodySink& sink);

    /// For one download() on another fiber, as http::Client::ahead(); null where that gives nothing.
    std::shared_ptr<Api> ahead(Fiber& fiber) const;

    const std::string& account() const { return account_id_; }
    std::size_t get_batch() const { return limits_.objects_in_get; }
    std::size_t set_batch() const { return limits_.objects_in_set; }
    /// After Reply::too_large. False where it cannot be less.
    bool halve_gets();
    bool halve_sets();
    Fiber& fiber() { return client_.fiber(); }
    const http::Upstream& upstream() const { return client_.upstream(); }

    /// An Error for a status that is no success, after login.
    static Error fault(const http::Response& response, std::string_view what);

private:
    Api(const Api& of, http::Client client);

    http::Client client_;
    http::Url home_;
    http::Url api_url_;
    std::string download_url_;
    std::vector<http::Origin> trusted_origins_;
    std::string account_id_;
    Limits limits_;

    Status check_origin(const http::Url& url) const;
    Result<http::Url> url_of_blob(const std::string& blob) const;
};

constexpr std::string_view cannot_list = "the mailbox cannot be listed";

}  // namespace popgate::jmap
