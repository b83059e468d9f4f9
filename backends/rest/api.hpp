#pragma once

#include "backends/http/client.hpp"
#include "backends/rest/description.hpp"
#include "backends/rest/list_stream.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace popgate::rest {

using Values = std::vector<std::pair<std::string_view, std::string>>;

/// %u, %n and %d of `user`, percent-encoded; octets that are encoded already stay.
std::string expand_user(std::string_view text, std::string_view user);

/// A description at work for one session.
class Api {
public:
    /// `user` is whose mailbox it is, as the templates tell it. `has_own_password`: false for a token of popgate's.
    Api(std::unique_ptr<http::Client> client, http::Url root, std::shared_ptr<const Description> description,
        std::string user, bool has_own_password);

    const Description& description() const { return *description_; }

    /// GET; what the answer tells is in `list` afterwards.
    Status read(std::string_view url, const Values& values, ListStream& list, std::string_view what);
    /// GET of a message.
    Result<http::Response> stream(std::string_view url, const Values& values, bool may_be_empty, BodySink& sink);
    /// `values` for the URL, and `ids`, one at least, and `target` for URL and body.
    Result<http::Response> call(const Call& call, Values values, const std::vector<std::string>& ids,
                                const std::string& target);

    /// For one stream() on another fiber, as http::Client::ahead(); null where that gives nothing.
    std::shared_ptr<Api> ahead(Fiber& fiber) const;

    bool is_gone(const http::Response& response) const;
    Error failure(const http::Response& response, std::string_view what) const;
    Error failure(Error error) const;
    /// From here on a refusal is no wrong password: that has been proved.
    void has_opened() { has_opened_ = true; }

    Fiber& fiber() { return client_->fiber(); }
    const http::Upstream& upstream() const { return client_->upstream(); }

private:
    http::Request request(std::string method, std::string_view url, const Values& values) const;

    std::unique_ptr<http::Client> client_;
    http::Url root_;
    std::shared_ptr<const Description> description_;
    std::string user_;
    bool has_own_password_;
    bool has_opened_ = false;
};

}  // namespace popgate::rest
