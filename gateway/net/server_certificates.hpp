#pragma once

#include "backends/errors.hpp"
#include "gateway/net/certificate_pair.hpp"

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

typedef struct ssl_st SSL;

namespace popgate {

/// The server's certificates: which one a client is shown, and whether the files have changed since.
/// Any thread may call any function; only load() and refresh() block.
class ServerCertificates {
public:
    using Pairs = std::vector<std::shared_ptr<const CertificatePair>>;

    /// What became of a pair whose files changed.
    struct Change {
        std::string certificate;  ///< the file
        std::string problem;      ///< why the former pair stays in use; empty: the new one is
    };
    struct Expiry {
        std::string name;  ///< the first that it is shown for, or its file where there is none
        std::chrono::system_clock::time_point not_after;
    };

    /// Reads them all; one that cannot be used is an error. The first is the default, for clients that name no server
    /// or one that no certificate is for. `files` must not be empty.
    static Result<std::shared_ptr<ServerCertificates>> load(std::vector<CertificateFiles> files);

    ~ServerCertificates();

    /// Looks at the files and takes what is new, for handshakes from then on. A pair that cannot be used, or whose
    /// halves do not belong together, is told about when the next call finds the same once more, as it may just have
    /// been in the middle of being replaced; the former one stays in use meanwhile. Says what there is to log.
    std::vector<Change> refresh();

    /// From now on these are those of `others`, which is of no more use: of a configuration that was read again.
    void replace_with(ServerCertificates& others);

    /// What a client is shown that names this server (RFC 6066 §3), one pair for each type of key; the client's
    /// algorithms decide between these. An exact name comes before a wildcard, which stands for one label. `server` may
    /// be any octets. Never empty.
    std::shared_ptr<const Pairs> choose(std::string_view server) const;

    /// Gives a connection in the middle of its handshake what choose() says; false when OpenSSL refuses.
    bool use_for(SSL* ssl) const;

    /// Of those in use, in the order of load().
    std::vector<Expiry> expiries() const;

    /// The pairs that are broken on disk now; a former one is in use for each.
    std::vector<Change> problems() const;

private:
    /// All that are in use at one time.
    struct Set {
        Pairs pairs;                                        ///< in the order of load()
        std::map<std::string, Pairs, std::less<>> by_name;  ///< wildcards with their "*."
        Pairs standard;
        explicit Set(Pairs all);
    };
    struct Stamp;
    struct Watched;

    ServerCertificates(std::vector<Watched> watched, Pairs pairs);
    std::shared_ptr<const Set> current() const;
    /// True when there is something to log; replaces `pair` where there is a new one.
    static bool look_at(Watched& watched, std::shared_ptr<const CertificatePair>& pair);

    std::mutex refreshing_;  ///< guards watched_
    std::vector<Watched> watched_;
    mutable std::mutex mutex_;  ///< guards what follows, for moments
    std::shared_ptr<const Set> set_;
    std::vector<Change> problems_;
};

}  // namespace popgate
