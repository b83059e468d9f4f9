#include "backends/rest/rest_backend.hpp"

namespace popgate {

Result<std::unique_ptr<Backend>> make_rest_backend(const BackendOptions& options) {
    return Error{Errc::permanent, "\"" + options.url + "\" cannot be served", {}};
}

}  // namespace popgate
