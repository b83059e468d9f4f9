#pragma once

#include "backends/gmail/wire.hpp"
#include "backends/http/client.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace popgate::gmail {

/// What calls cost of an account's quota, in units (Gmail API, "Usage limits").
namespace cost {
constexpr std::uint32_t list = 5, get = 5, history = 2, labels = 1, profile = 1, many = 50;
}

/// How many messages one call that changes them may name.
constexpr std::size_t most_ids = 1000;

/// Whether an answer to modify() or destroy() says that it was done: 204, or what Google's API may say of nothing. A
/// page that some other server has put in between says nothing.
bool says_done(const http::Response& response);

/// Rate limits, which Google's API tells with 403 as well: for Upstream::judge.
http::Verdict judge(const http::Response& response);

/// The calls of the Gmail API for one mailbox, on the session's fiber. Every one may suspend. 401 is Errc::auth until
/// something has succeeded, and Errc::temporary afterwards.
class Api {
public:
    /// `root`: the server's origin. `mailbox`: whose mailbox; empty: the credential's owner's. `account`: in the
    /// limiter.
    Api(Fiber& fiber, std::shared_ptr<const http::Upstream> upstream, http::Origin root, const std::string& mailbox,
        std::string account, std::unique_ptr<http::Credential> credential);

    /// The label's id, by its name. Errc::permanent when there is none.
    Result<std::string> find_label(const std::string& name);
    /// Nothing where there is no such label.
    Result<std::optional<Label>> label(const std::string& id);
    /// All ids under all of these labels, each once, in no order.
    Result<std::vector<std::string>> ids(const std::vector<std::string>& labels, bool with_trash);

    struct History {
        std::vector<HistoryPage::Change> changes;
        std::string next;  ///< where the next look may begin
    };
    /// What has happened since. Nothing where the server no longer knows.
    Result<std::optional<History>> history(const std::string& since, const std::string& label);
    Result<std::string> history_id();

    /// The message's octets. Errc::gone: it is not there.
    Status raw(const std::string& id, BodySink& sink);

    /// The outer answer to a batch of details, for read_details().
    Result<http::Response> ask_details(const std::vector<std::string>& ids);
    /// Nobody asks for this account for that long.
    void rest(Clock::duration duration);

    /// At most `most_ids` of them; the answer is the server's, whatever its status. destroy() is for ever.
    Result<http::Response> modify(const std::vector<std::string>& ids, const std::vector<std::string>& add,
                                  const std::vector<std::string>& take);
    Result<http::Response> destroy(const std::vector<std::string>& ids);

    /// An Error for an answer that is no success.
    Error fault(const http::Response& response, std::string_view what) const;

    /// For one raw() on another fiber, as http::Client::ahead(); null where that gives nothing.
    std::shared_ptr<Api> ahead(Fiber& fiber) const;

    Fiber& fiber() { return client_.fiber(); }
    const http::Upstream& upstream() const { return client_.upstream(); }

private:
    Api(const Api& of, http::Client client);
    using Parameters = std::vector<std::pair<std::string_view, std::string>>;
    http::Request request(std::string_view path, std::uint32_t units, const Parameters& parameters = {}) const;
    Result<http::Response> ask(const http::Request& request);

    http::Origin root_;
    std::string prefix_;  // of paths: "/gmail/v1/users/me"
    std::string account_;
    http::Client client_;
    bool is_proven_ = false;
};

}  // namespace popgate::gmail
