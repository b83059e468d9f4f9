#include "gateway/net/tls.hpp"

#include "gateway/net/server_certificates.hpp"
#include "gateway/net/ticket_keys.hpp"
#include "tests/support/made_certificate.hpp"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <atomic>
#include <string>
#include <thread>

namespace popgate {
namespace {

/// How a client of these tests behaves.
struct ClientWishes {
    std::string server{};  ///< the name it sends; none when empty
    TlsProtocol version = TLS1_3_VERSION;
    const char* algorithms = nullptr;  ///< of signatures, as OpenSSL's lists are written
    std::shared_ptr<SSL_SESSION> session{};
    const MadeCertificate* certificate = nullptr;
};

/// What it saw.
struct Handshake {
    bool done = false;
    bool resumed = false;
    long serial = 0;  ///< of the certificate that the server showed
    int chain = 0;    ///< how many certificates it sent
    std::shared_ptr<SSL_SESSION> session{};
};

std::shared_ptr<SSL> client_of(const ClientWishes& wishes) {
    const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    SSL_CTX_set_min_proto_version(context.get(), wishes.version);
    SSL_CTX_set_max_proto_version(context.get(), wishes.version);
    if (wishes.algorithms) {
        EXPECT_EQ(SSL_CTX_set1_sigalgs_list(context.get(), wishes.algorithms), 1);
    }
    if (wishes.certificate) {
        const std::shared_ptr<X509> certificate(
            PEM_read_bio_X509(pem_bio(wishes.certificate->certificate).get(), nullptr, nullptr, nullptr), X509_free);
        const std::shared_ptr<EVP_PKEY> key(
            PEM_read_bio_PrivateKey(pem_bio(wishes.certificate->key).get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
        EXPECT_EQ(SSL_CTX_use_cert_and_key(context.get(), certificate.get(), key.get(), nullptr, 1), 1);
    }
    std::shared_ptr<SSL> ssl(SSL_new(context.get()), SSL_free);
    if (!wishes.server.empty())
        SSL_ctrl(ssl.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                 const_cast<char*>(wishes.server.c_str()));
    if (wishes.session) {
        EXPECT_EQ(SSL_set_session(ssl.get(), wishes.session.get()), 1);
    }
    SSL_set_connect_state(ssl.get());
    return ssl;
}

/// Both ends in this thread, over memory.
Handshake connect(const TlsServerContext& context, const std::shared_ptr<SSL>& client) {
    const std::shared_ptr<SSL> server(SSL_new(context.native()), SSL_free);
    SSL_set_accept_state(server.get());
    BIO* client_end = nullptr;
    BIO* server_end = nullptr;
    EXPECT_EQ(BIO_new_bio_pair(&client_end, 0, &server_end, 0), 1);
    SSL_set_bio(client.get(), client_end, client_end);
    SSL_set_bio(server.get(), server_end, server_end);
    Handshake seen;
    const auto step = [](SSL* ssl) {
        ERR_clear_error();
        const int result = SSL_do_handshake(ssl);
        return result == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl, result);
    };
    for (int i = 0; i < 20; ++i) {
        const int at_client = step(client.get());
        const int at_server = step(server.get());
        for (const int error : {at_client, at_server})
            if (error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ) return seen;
        if (at_client == SSL_ERROR_NONE && at_server == SSL_ERROR_NONE) break;
    }
    // With TLS 1.3 tickets come after the handshake, before the first octet; and so does a refusal.
    char octet = '+';
    if (SSL_write(server.get(), &octet, 1) != 1 || SSL_read(client.get(), &octet, 1) != 1) return seen;
    seen.done = true;
    seen.resumed = SSL_session_reused(client.get()) == 1;
    EXPECT_EQ(SSL_session_reused(server.get()) == 1, seen.resumed);
    const std::shared_ptr<X509> certificate(SSL_get1_peer_certificate(client.get()), X509_free);
    if (certificate) seen.serial = ASN1_INTEGER_get(X509_get0_serialNumber(certificate.get()));
    if (const auto* chain = SSL_get_peer_cert_chain(client.get())) seen.chain = sk_X509_num(chain);
    seen.session = {SSL_get1_session(client.get()), SSL_SESSION_free};
    SSL_shutdown(client.get());
    SSL_shutdown(server.get());
    return seen;
}

Handshake connect(const TlsServerContext& context, const ClientWishes& wishes = {}) {
    return connect(context, client_of(wishes));
}

long serial_of(const MadeCertificate& made) {
    const std::shared_ptr<X509> certificate(
        PEM_read_bio_X509(pem_bio(made.certificate).get(), nullptr, nullptr, nullptr), X509_free);
    return ASN1_INTEGER_get(X509_get0_serialNumber(certificate.get()));
}

class TlsTest : public testing::TestWithParam<TlsProtocol> {
protected:
    void SetUp() override { load({folder.put("server", server)}); }

    void load(std::vector<CertificateFiles> files) {
        auto loaded = ServerCertificates::load(std::move(files));
        ASSERT_TRUE(loaded) << loaded.error().text;
        certificates = *loaded;
    }
    std::shared_ptr<TlsServerContext> context(const ClientCertificatePolicy& policy = {},
                                              TlsProtocol minimum = TLS1_2_VERSION,
                                              Application application = Application::pop3) {
        auto made = TlsServerContext::make(certificates, minimum, application, policy, tickets);
        EXPECT_TRUE(made) << made.error().text;
        return *made;
    }
    ClientWishes wishes(std::shared_ptr<SSL_SESSION> session = {}) {
        return {.version = GetParam(), .session = std::move(session)};
    }

    CertificateFolder folder;
    MadeCertificate server = make_certificate({.names = {"mail.example.com"}});
    std::shared_ptr<ServerCertificates> certificates;
    Clock::time_point now{};
    std::shared_ptr<TicketKeys> tickets = std::make_shared<TicketKeys>([this] { return now; });
};

INSTANTIATE_TEST_SUITE_P(Versions, TlsTest, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         [](const auto& version) { return version.param == TLS1_2_VERSION ? "Tls12" : "Tls13"; });

TEST_P(TlsTest, TheServersNameDecides) {
    const auto org = make_certificate({.names = {"*.example.org"}});
    load({folder.put("server", server), folder.put("org", org)});
    const auto tls = context();
    const auto shown = [&](const std::string& name) {
        auto client = wishes();
        client.server = name;
        return connect(*tls, client).serial;
    };
    EXPECT_EQ(shown(""), serial_of(server));
    EXPECT_EQ(shown("mail.example.com"), serial_of(server));
    EXPECT_EQ(shown("pop.example.org"), serial_of(org));
    EXPECT_EQ(shown("POP.Example.Org"), serial_of(org));
    EXPECT_EQ(shown("unknown.example"), serial_of(server));
}

TEST_P(TlsTest, TheClientsAlgorithmsDecideBetweenTypesOfKeys) {
    const auto rsa = make_certificate({.names = {"mail.example.com"}, .type = "RSA"});
    load({folder.put("server", server), folder.put("rsa", rsa)});
    const auto tls = context();
    for (const std::string name : {"", "mail.example.com"}) {
        auto client = wishes();
        client.server = name;
        client.algorithms = "ECDSA+SHA256";
        EXPECT_EQ(connect(*tls, client).serial, serial_of(server)) << name;
        client.algorithms = "RSA+SHA256:rsa_pss_rsae_sha256";
        EXPECT_EQ(connect(*tls, client).serial, serial_of(rsa)) << name;
    }
}

TEST_P(TlsTest, TheChainIsSent) {
    const auto authority = make_certificate({.names = {}, .common_name = "authority", .is_authority = true});
    const auto leaf = make_certificate({.names = {"mail.example.com"}, .authority = &authority});
    load({folder.put("server", {leaf.certificate + authority.certificate, leaf.key})});
    const auto seen = connect(*context(), wishes());
    EXPECT_EQ(seen.serial, serial_of(leaf));
    EXPECT_EQ(seen.chain, 2);
}

TEST_P(TlsTest, ANewCertificateIsForHandshakesFromThenOn) {
    const auto tls = context();
    ASSERT_EQ(connect(*tls, wishes()).serial, serial_of(server));
    const auto next = make_certificate({.names = {"mail.example.com"}});
    folder.put("server", next);
    ASSERT_EQ(certificates->refresh().size(), 1u);
    EXPECT_EQ(connect(*tls, wishes()).serial, serial_of(next));
}

TEST_P(TlsTest, NoHandshakeFailsWhileCertificatesAreSwapped) {
    const auto tls = context();
    std::atomic<int> count = 0;
    std::vector<std::jthread> clients;
    for (int i = 0; i < 2; ++i)
        clients.emplace_back([&, client = wishes()](const std::stop_token& stop) {
            while (!stop.stop_requested()) {
                ASSERT_TRUE(connect(*tls, client).done);
                ++count;
            }
        });
    for (int i = 0; i < 10 || count < 20; ++i) {
        folder.put("server", make_certificate({.names = {"mail.example.com"}, .type = i % 4 == 0 ? "RSA" : "EC"}));
        ASSERT_EQ(certificates->refresh().size(), 1u);
    }
}

TEST_P(TlsTest, SessionsResumeAcrossASwapAndAcrossContexts) {
    const auto first = connect(*context(), wishes());
    ASSERT_TRUE(first.done);
    EXPECT_FALSE(first.resumed);
    folder.put("server", make_certificate({.names = {"mail.example.com"}}));
    ASSERT_EQ(certificates->refresh().size(), 1u);
    const auto other = context();
    const auto second = connect(*other, wishes(first.session));
    EXPECT_TRUE(second.resumed);
    EXPECT_TRUE(connect(*other, wishes(second.session)).resumed);
}

/// As popgate connects to an upstream that it knows by this name.
Handshake connect(const TlsServerContext& context, const TlsClientContext& to, const std::string& host,
                  TlsProtocol version) {
    const std::shared_ptr<SSL> client(SSL_new(to.native()), SSL_free);
    SSL_set_max_proto_version(client.get(), version);
    EXPECT_TRUE(to.resume(client.get(), host));
    SSL_set_connect_state(client.get());
    return connect(context, client);
}

TEST_P(TlsTest, ASessionWithAnUpstreamIsResumedThereAlone) {
    const auto tls = context();
    const auto made = TlsClientContext::make({}, false);
    ASSERT_TRUE(made);
    const auto& upstream = **made;
    EXPECT_FALSE(connect(*tls, upstream, "one.example", GetParam()).resumed);
    EXPECT_FALSE(connect(*tls, upstream, "two.example", GetParam()).resumed) << "another host";
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(connect(*tls, upstream, "one.example", GetParam()).resumed) << i;
    const auto another = TlsClientContext::make({}, false);
    EXPECT_FALSE(connect(*tls, **another, "one.example", GetParam()).resumed) << "another route trusts others";
}

TEST_P(TlsTest, ASessionWithAnUpstreamEndsWithItsCertificate) {
    folder.put("server", make_certificate({.names = {"mail.example.com"}, .seconds = 2}));
    ASSERT_EQ(certificates->refresh().size(), 1u);
    const auto tls = context();
    const auto upstream = *TlsClientContext::make({}, false);
    EXPECT_FALSE(connect(*tls, *upstream, "one.example", GetParam()).resumed);
    const auto before = connect(*tls, *upstream, "one.example", GetParam());
    const auto until = Clock::now() + std::chrono::seconds(10);
    while (X509_cmp_current_time(X509_get0_notAfter(SSL_SESSION_get0_peer(before.session.get()))) > 0) {
        ASSERT_LT(Clock::now(), until);
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    EXPECT_FALSE(connect(*tls, *upstream, "one.example", GetParam()).resumed);
}

TEST_P(TlsTest, TicketsOfOtherKeysAreRefused) {
    const auto first = connect(*context(), wishes());
    tickets = std::make_shared<TicketKeys>();
    const auto second = connect(*context(), wishes(first.session));
    EXPECT_TRUE(second.done);
    EXPECT_FALSE(second.resumed);
}

TEST_P(TlsTest, TicketsAreRenewedAfterOneRotationAndRefusedAfterTwo) {
    const auto tls = context();
    const auto first = connect(*tls, wishes());
    now += TicketKeys::lifetime + std::chrono::minutes(1);
    const auto second = connect(*tls, wishes(first.session));
    EXPECT_TRUE(second.resumed);
    now += TicketKeys::lifetime;
    const auto late = connect(*tls, wishes(first.session));
    EXPECT_TRUE(late.done);
    EXPECT_FALSE(late.resumed);
    EXPECT_TRUE(connect(*tls, wishes(second.session)).resumed) << "it was renewed with the next key";
}

TEST_P(TlsTest, ATicketIsGoodOnlyWhereTheSameIsDemanded) {
    const auto authority = make_certificate({.names = {}, .common_name = "authority", .is_authority = true});
    const auto other_authority =
        make_certificate({.names = {}, .common_name = "other authority", .is_authority = true});
    folder.put("ca", authority.certificate);
    folder.put("same-ca", authority.certificate);
    folder.put("other-ca", other_authority.certificate);
    const auto person = make_certificate({.names = {}, .common_name = "person", .authority = &authority});
    const ClientCertificatePolicy optional{.asked_for = true, .required = false, .ca_file = folder.path("ca")};
    const ClientCertificatePolicy required{.asked_for = true, .required = true, .ca_file = folder.path("ca")};
    const ClientCertificatePolicy same{.asked_for = true, .required = true, .ca_file = folder.path("same-ca")};
    const ClientCertificatePolicy other{.asked_for = true, .required = true, .ca_file = folder.path("other-ca")};

    const auto anonymous = connect(*context(), wishes()).session;
    EXPECT_TRUE(connect(*context(), wishes(anonymous)).resumed);
    EXPECT_FALSE(connect(*context(optional), wishes(anonymous)).resumed);
    EXPECT_FALSE(connect(*context(required), wishes(anonymous)).done) << "it has no certificate";
    EXPECT_FALSE(connect(*context({}, TLS1_2_VERSION, Application::http), wishes(anonymous)).resumed);
    EXPECT_FALSE(connect(*context({}, TLS1_1_VERSION), wishes(anonymous)).resumed);
    EXPECT_FALSE(connect(*context(required), wishes(connect(*context(optional), wishes()).session)).done)
        << "nor has one that was only asked for it";

    auto with_certificate = wishes();
    with_certificate.certificate = &person;
    const auto known = connect(*context(required), with_certificate);
    ASSERT_TRUE(known.done);
    EXPECT_TRUE(connect(*context(required), wishes(known.session)).resumed);
    EXPECT_TRUE(connect(*context(same), wishes(known.session)).resumed) << "the content of the file counts";
    EXPECT_FALSE(connect(*context(other), wishes(known.session)).done);
    EXPECT_FALSE(connect(*context(optional), wishes(known.session)).resumed);
}

TEST_P(TlsTest, AContextsPartsLiveAsLongAsItsConnections) {
    auto tls = context();
    const std::shared_ptr<SSL> ssl(SSL_new(tls->native()), SSL_free);
    const std::weak_ptr<ServerCertificates> watched = certificates;
    tls.reset();
    certificates.reset();
    EXPECT_FALSE(watched.expired());
}

TEST(TicketKeys, ChangeEveryTwelveHours) {
    Clock::time_point now{};
    TicketKeys keys([&now] { return now; });
    const auto first = keys.current()->name;
    now += TicketKeys::lifetime - std::chrono::seconds(1);
    EXPECT_EQ(keys.current()->name, first);
    now += std::chrono::seconds(1);
    const auto second = keys.current()->name;
    EXPECT_NE(second, first);
    EXPECT_TRUE(keys.find(first));
    EXPECT_FALSE(keys.find(TicketKeys::Name{}));
    now += TicketKeys::lifetime;
    EXPECT_FALSE(keys.find(first));
    EXPECT_TRUE(keys.find(second));
}

TEST(TicketKeys, AreOldAfterADayEvenIfNobodyCame) {
    Clock::time_point now{};
    TicketKeys keys([&now] { return now; });
    const auto first = keys.current()->name;
    now += 2 * TicketKeys::lifetime - std::chrono::hours(1);
    EXPECT_TRUE(keys.find(first)) << "looked at for the first time after 23 hours";
    now += std::chrono::hours(1);
    EXPECT_FALSE(keys.find(first)) << "and none the longer for it";
    const auto next = keys.current()->name;
    now += 100 * TicketKeys::lifetime;
    EXPECT_FALSE(keys.find(next));
}

}  // namespace
}  // namespace popgate
