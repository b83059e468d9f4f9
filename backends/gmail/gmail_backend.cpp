#include "backends/gmail/gmail_backend.hpp"

namespace popgate {

Result<std::unique_ptr<Backend>> make_gmail_backend(const BackendOptions& options) {
    return Error{Errc::permanent, "\"" + options.url + "\" cannot be served", {}};
}

}  // namespace popgate
