#pragma once

#include "backends/mailbox.hpp"
#include "gateway/observe/metric_labels.hpp"

#include <memory>

namespace popgate {

/// The same backend, whose calls and those of its mailboxes are timed and whose failures are counted. Changes no
/// outcome. Time for which a BodySink holds a message up is the client's, and not counted.
std::shared_ptr<const Backend> observed(std::shared_ptr<const Backend> backend, metrics::BackendKind kind);

}  // namespace popgate
