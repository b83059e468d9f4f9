#include "backends/errors.hpp"

#include <stdexcept>

namespace popgate {

void throw_exception_from_error(const Error& error, const boost::source_location& where) {
    throw std::logic_error("unchecked result at " + where.to_string() + ": " + error.text);
}

}  // namespace popgate
