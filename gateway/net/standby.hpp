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
    /// What is held is let go of, and nothing is held any more. Never suspends.
    void end();
    /// What is held is let go of, since nobody will ask for it. Never suspends.
    void let_go();
    bool is_on() const { return is_on_; }
    /// Has `let_go` called then; what it refers to must live as long as the context.
    void add_holder(std::function<void()> let_go) { holders_.push_back(std::move(let_go)); }

private:
    void shutdown() noexcept override { holders_.clear(); }

    bool is_on_ = false;
    std::vector<std::function<void()>> holders_;
};

}  // namespace popgate
