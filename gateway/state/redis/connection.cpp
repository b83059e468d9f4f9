#include "gateway/state/redis/connection.hpp"

#include "gateway/net/tls.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace popgate::redis {

namespace asio = boost::asio;

namespace {

constexpr std::size_t read_at_once = 16 * 1024;

Error unreachable(const std::string& name, const std::string& why) {
    return {Errc::temporary, "the state store cannot be reached", name + ": " + why};
}

// Streams are meant for mail servers, and say so.
std::string without_mail(std::string text) {
    constexpr std::string_view subject = "the mail server's ";
    if (text.starts_with(subject)) text.replace(0, subject.size(), "its ");
    return text;
}

Result<std::unique_ptr<Stream>> connect_unix(Fiber& fiber, const std::string& path) {
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    std::memcpy(where.sun_path, path.data(), std::min(path.size(), sizeof where.sun_path - 1));
    const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) return unreachable(path, std::strerror(errno));
    asio::ip::tcp::socket socket(fiber.context());
    boost::system::error_code error;
    // A stream is a stream: nothing that is done with it asks for its protocol.
    socket.assign(asio::ip::tcp::v4(), descriptor, error);
    if (error) {
        ::close(descriptor);
        return unreachable(path, error.message());
    }
    if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0)
        return unreachable(path, std::strerror(errno));
    return std::make_unique<Stream>(fiber, std::move(socket));
}

}  // namespace

Result<std::shared_ptr<Connection>> Connection::open(Fiber& fiber, const Address& address,
                                                     const Address::Server& server, const ClientOptions& options) {
    const bool is_unix = !address.socket.empty();
    const auto name = is_unix ? address.socket : server.host + ':' + server.port;
    auto stream = is_unix ? connect_unix(fiber, address.socket)
                          : Stream::connect(fiber, server.host, server.port, options.connect_timeout);
    if (!stream) return Error{Errc::temporary, "the state store cannot be reached", stream.error().detail};
    if (options.tls)
        if (auto status = (*stream)->start_tls(*options.tls, server.host, options.connect_timeout); !status)
            return unreachable(name, without_mail(status.error().text));
    return std::make_shared<Connection>(name, std::move(*stream), options.call_timeout);
}

Connection::Connection(std::string name, std::unique_ptr<Stream> stream, std::chrono::milliseconds call_timeout)
    : name_(std::move(name)),
      stream_(std::move(stream)),
      call_timeout_(call_timeout),
      octets_(std::make_unique_for_overwrite<char[]>(read_at_once)) {}

Error Connection::broken() const { return unreachable(name_, why_broken_); }

void Connection::give_up(const std::string& why) {
    if (!why_broken_.empty()) return;
    why_broken_ = why.empty() ? "closed" : why;
    stream_->abort();
    for (const auto& waiter : waiters_)
        if (waiter->fiber && waiter->fiber != leader_) waiter->fiber->wake();
}

bool Connection::is_usable() {
    if (!why_broken_.empty()) return false;
    if (!waiters_.empty()) {
        // Whoever asked gave up before the server was late; others need not wait for the same.
        if (Clock::now() < late_at(*waiters_.front())) return true;
        give_up("no answer in time");
    } else if (!stream_->is_quiet()) {
        give_up("closed by the server");
    }
    return why_broken_.empty();
}

void Connection::push(std::string commands, const std::shared_ptr<Waiter>& waiter) {
    waiters_.push_back(waiter);
    if (out_.empty())
        out_ = std::move(commands);
    else
        out_ += commands;
    if (is_writing_) return;  // it takes this along
    boost::system::error_code error;
    out_.erase(0, stream_->write_now(out_, error));
    if (error) give_up(error.message());
}

void Connection::post(std::string commands, std::size_t count) {
    if (is_usable()) push(std::move(commands), std::make_shared<Waiter>(Waiter{count}));
}

Result<std::vector<Reply>> Connection::ask(Fiber& fiber, std::string commands, std::size_t count) {
    if (count == 0) return std::vector<Reply>();
    const auto waiter = std::make_shared<Waiter>(Waiter{count});
    push(std::move(commands), waiter);
    // Without memory to go on with, nobody may wait for this fiber, nor wake it.
    struct Leave {
        Connection& connection;
        Waiter& waiter;
        Fiber& fiber;
        bool is_done = false;
        ~Leave() {
            waiter.fiber = nullptr;
            if (is_done) return;
            if (connection.leader_ == &fiber) connection.leader_ = nullptr;
            connection.give_up("out of memory");
        }
    } leave{*this, *waiter, fiber};
    waiter->fiber = &fiber;
    while (!is_done(*waiter) && why_broken_.empty() && !fiber.interrupted() && Clock::now() < fiber.limit()) {
        if (!leader_) {
            lead(fiber, *waiter);
        } else {
            fiber.sleep_until(late_at(*waiter));
        }
        if (!is_done(*waiter) && Clock::now() >= late_at(*waiter)) {
            waiter->fiber = nullptr;  // not to be woken by itself
            give_up("no answer in time");
        }
    }
    waiter->fiber = nullptr;
    leave.is_done = true;
    if (!leader_) {
        const auto next = std::ranges::find_if(waiters_, [](const auto& each) { return each->fiber != nullptr; });
        if (next != waiters_.end()) (*next)->fiber->wake();
    }
    if (is_done(*waiter)) return std::move(waiter->replies);
    if (!why_broken_.empty()) return broken();
    return unreachable(name_, fiber.interrupted() ? "interrupted" : "no time was left to wait for an answer");
}

// Writes and reads until this waiter has its replies, its fiber must not wait any more, or the connection is broken.
void Connection::lead(Fiber& fiber, const Waiter& waiter) {
    leader_ = &fiber;
    stream_->hand_to(fiber);
    boost::system::error_code error;
    while (!is_done(waiter) && why_broken_.empty()) {
        const auto patience = std::chrono::ceil<std::chrono::milliseconds>(
            std::max(late_at(waiter) - Clock::now(), Clock::duration::zero()));
        if (!out_.empty()) {
            const auto sent = std::exchange(out_, {});
            is_writing_ = true;
            error = stream_->write(sent, patience);
            is_writing_ = false;
            // Part of a command may be out: nothing can follow it.
            if (error) give_up(error.message());
            continue;
        }
        const auto count = stream_->read_some(octets_.get(), read_at_once, patience, error);
        if (error == asio::error::timed_out || error == asio::error::operation_aborted) break;
        if (error) {
            give_up(error.message());
            break;
        }
        moved_at_ = Clock::now();
        reader_.feed({octets_.get(), count});
        take_replies();
    }
    leader_ = nullptr;
}

void Connection::take_replies() {
    for (;;) {
        auto reply = reader_.next();
        if (!reply) return give_up(reply.error().detail);
        if (!*reply) return;
        if (waiters_.empty()) return give_up("an answer to no question");
        const auto front = waiters_.front();
        front->replies.push_back(std::move(**reply));
        if (!is_done(*front)) continue;
        waiters_.pop_front();
        if (front->fiber && front->fiber != leader_) front->fiber->wake();
    }
}

}  // namespace popgate::redis
