#pragma once

#include "backends/graph/wire.hpp"
#include "backends/http/client.hpp"

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace popgate::graph {

/// One mailbox owner's part of Microsoft Graph: addresses, and requests that all ask for immutable ids. Bound to a
/// session's fiber; what sends may suspend.
class Api {
public:
    /// `root`: the API's, without a '/' at its end ("https://graph.microsoft.com/v1.0"). `owner`: "/me", or
    /// "/users/…", encoded. `account` names the account in the limiter.
    Api(Fiber& fiber, std::shared_ptr<const http::Upstream> upstream, std::string account,
        std::unique_ptr<http::Credential> credential, http::Url root, std::string owner);

    /// As http::Client::send(). `page_size`: of a page of a list, at most; 0: whatever the server likes.
    Result<http::Response> get(const http::Url& url, std::size_t page_size = 0);
    Result<http::Response> stream(const http::Url& url, BodySink& sink);

    /// The answers in the order of the requests, at most batch_size of them. A batch is never sent twice unless the
    /// server has refused it; where its answer is lost, each one's status is 0.
    Result<std::vector<InnerAnswer>> batch(std::span<const InnerRequest> requests);

    /// After a 429 within a batch: the account's next request waits, at least so long.
    void back_off(std::chrono::milliseconds wait);

    /// `path` begins with '/' and is below the owner; encoded, with its query.
    http::Url url(std::string_view path) const;
    /// The same, as a batch wants it.
    std::string inner_url(std::string_view path) const { return owner_ + std::string(path); }
    /// A link that the server gave. Errc::temporary where it leads to another origin: nothing is to be sent there.
    Result<http::Url> follow(std::string_view link) const;

    /// An Error for an answer that is no success: http::to_error(), with what the API's own codes tell.
    Error failure(const http::Response& response, std::string_view what) const;
    /// From now on a 401 is no wrong password, but a token that has expired: Errc::temporary.
    void has_opened() { has_opened_ = true; }

    /// For one stream() on another fiber, as http::Client::ahead(); null where that gives nothing.
    std::shared_ptr<Api> ahead(Fiber& fiber) const;

    Fiber& fiber() { return client_.fiber(); }
    const http::Upstream& upstream() const { return *upstream_; }
    std::chrono::milliseconds patience() const { return client_.upstream().patience; }

private:
    Api(const Api& of, http::Client client);

    http::Client client_;
    std::shared_ptr<const http::Upstream> upstream_;
    std::string account_;
    http::Url root_;
    std::string owner_;
    bool has_opened_ = false;
};

/// A folder by its well-known name ("inbox", in any case; "archive", …) or by display names, outermost first
/// ("Work/Invoices", "INBOX/Lists"; case does not matter). Errc::gone when there is none.
Result<Folder> find_folder(Api& api, std::string_view name);

}  // namespace popgate::graph
