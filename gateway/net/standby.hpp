#pragma once

#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>

#include <functional>
#include <utility>
#include <vector>

namespace popgate {

/// Whether something may be held ready on an io_context between sessions, such as a connection that is logged in. Only
/// between begin() and end(), as the server's workers have it: whoever runs a loop until its work is done would wait
/// for what is held. For the context's thread alone.
class Standby final : public boost::asio::execution_context::service {
public:
    static boost::asio::execution_context::id id;
    explicit Standby(boost::asio::execution_context& context) : service(context) {}

    static Standby& of(boost::asio::io_context& context);

    /// To be called before the context runs, or on its thread.
    void begin() { is_on_ = true; }
    /// Whoever holds something lets go of it now. Never suspends.
    void end();
    bool is_on() const { return is_on_; }
    /// `let_go` is called at the end; it must live as long as the context.
    void at_end(std::function<void()> let_go) { at_end_.push_back(std::move(let_go)); }

private:
    void shutdown() noexcept override { at_end_.clear(); }

    bool is_on_ = false;
    std::vector<std::function<void()>> at_end_;
};

}  // namespace popgate
