#pragma once

#include "gateway/accounts/proof.hpp"

namespace popgate {

/// Whether a proof by APOP (RFC 1939 §7) or CRAM-MD5 (RFC 2195) was made with this secret; takes as long for a wrong
/// one. An empty secret matches nothing.
bool proves(const Proof& proof, const Secret& shared_secret);

}  // namespace popgate
