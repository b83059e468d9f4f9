#pragma once

#include "backends/http/client.hpp"
#include "backends/mailbox.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace popgate::http {

/// What Mailbox::expect() asks for: a session's next messages, got by some requests at once, each on a fiber of its
/// own, and held in memory within Upstream::read_ahead octets until fetch() wants them. A request is made only where
/// Client::ahead() has room for it. What fails is forgotten: fetch() then asks as if nothing had been read ahead. On
/// one thread, so nothing is locked.
class ReadAhead {
public:
    /// Fetches one message whole, as Mailbox::fetch() would; must own all that it touches, as the session may end
    /// first.
    using Read = std::function<Status(BodySink&)>;
    /// Prepares that for another fiber; empty where it cannot be done now. Does not suspend, and is called only as long
    /// as this lives.
    using Prepare = std::function<Read(Fiber&, const MessageInfo&)>;

    /// `fiber` is the session's.
    ReadAhead(Fiber& fiber, const Upstream& upstream, Prepare prepare);
    /// Ends what is under way: its fibers end soon after, whatever the server does.
    ~ReadAhead();
    ReadAhead(const ReadAhead&) = delete;
    ReadAhead& operator=(const ReadAhead&) = delete;

    /// As Mailbox::expect().
    void expect(const std::vector<const MessageInfo*>& next);

    /// As Mailbox::fetch(): from what was read ahead, or on the heels of what is on its way, else by `ask`. Suspends.
    Status fetch(const MessageInfo& message, BodySink& sink, const Read& ask);

private:
    struct Message;
    struct State;
    class Reading;
    class Collector;
    std::optional<Status> give(Message& message, BodySink& sink);

    Fiber& fiber_;
    std::shared_ptr<State> state_;  // the fibers have it, too
};

}  // namespace popgate::http
