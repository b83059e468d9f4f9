#include "gateway/net/standby.hpp"

namespace popgate {

boost::asio::execution_context::id Standby::id;

Standby& Standby::of(boost::asio::io_context& context) { return boost::asio::use_service<Standby>(context); }

void Standby::end() {
    is_on_ = false;
    let_go();
}

void Standby::let_go() {
    for (const auto& each : holders_) each();
}

}  // namespace popgate
