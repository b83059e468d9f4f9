#include "gateway/oauth/jwt.hpp"

#include <gtest/gtest.h>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <memory>
#include <set>
#include <string>

namespace popgate::oauth {
namespace {

namespace json = boost::json;

struct Pair {
    std::string key;
    std::string certificate;
};

std::string text_of(BIO* bio) {
    char* data = nullptr;
    const auto size = BIO_get_mem_data(bio, &data);
    return {data, static_cast<std::size_t>(size)};
}

/// A key of its own, and a certificate for it that nobody has signed but itself.
Pair make_pair_of(int bits = 2048) {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_RSA_gen(static_cast<unsigned>(bits)),
                                                                  EVP_PKEY_free);
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
    X509_set_version(certificate.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
    X509_set_pubkey(certificate.get(), key.get());
    X509_sign(certificate.get(), key.get(), EVP_sha256());
    const std::unique_ptr<BIO, decltype(&BIO_free)> key_text(BIO_new(BIO_s_mem()), BIO_free);
    const std::unique_ptr<BIO, decltype(&BIO_free)> certificate_text(BIO_new(BIO_s_mem()), BIO_free);
    PEM_write_bio_PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    PEM_write_bio_X509(certificate_text.get(), certificate.get());
    return {text_of(key_text.get()), text_of(certificate_text.get())};
}

const Pair& a_pair() {
    static const Pair pair = make_pair_of();
    return pair;
}

/// The claims, if the signature is good.
json::value verified(const std::string& token, const SigningKey& key, SigningKey::Algorithm algorithm,
                     json::value& header) {
    const auto first = token.find('.');
    const auto second = token.rfind('.');
    const auto signed_text = token.substr(0, second);
    const auto signature = *decode_base64url(token.substr(second + 1));
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    EVP_PKEY_CTX* parameters = nullptr;
    EVP_DigestVerifyInit(context.get(), &parameters, EVP_sha256(), nullptr, key.native());
    if (algorithm == SigningKey::Algorithm::ps256) {
        EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING);
        EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, 32);
    }
    EXPECT_EQ(
        EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                         reinterpret_cast<const unsigned char*>(signed_text.data()), signed_text.size()),
        1);
    header = json::parse(*decode_base64url(token.substr(0, first)));
    return json::parse(*decode_base64url(token.substr(first + 1, second - first - 1)));
}

TEST(OauthJwt, PkceIsAsInRfc7636) {
    EXPECT_EQ(sha256_base64url("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
              "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

TEST(OauthJwt, Base64urlGoesThereAndBack) {
    for (const auto* text : {"", "a", "ab", "abc", "abcd", "\xFB\xEF\xBE\xFF"})
        EXPECT_EQ(*decode_base64url(base64url(text)), text);
    EXPECT_EQ(base64url("\xFB\xFF"), "-_8");
    for (const auto* bad : {"a", "=", "aa==", "a+", "a/", "ab\n", "-_9"}) EXPECT_FALSE(decode_base64url(bad)) << bad;
}

TEST(OauthJwt, RandomTokensDiffer) {
    std::set<std::string> tokens;
    for (int i = 0; i < 100; ++i) tokens.insert(random_token(24));
    EXPECT_EQ(tokens.size(), 100U);
    EXPECT_EQ(tokens.begin()->size(), 32U);
}

TEST(OauthJwt, AssertionsAreSignedAndNewEachTime) {
    const auto certificate = read_client_certificate(Secret(a_pair().certificate), Secret(a_pair().key));
    ASSERT_TRUE(certificate) << certificate.error().text;
    json::value header;
    const auto token = client_assertion(*certificate, "client", "https://id.example/token", false, 1000);
    const auto claims = verified(token, certificate->key, SigningKey::Algorithm::rs256, header);
    EXPECT_EQ(header.at("alg"), "RS256");
    EXPECT_EQ(header.at("x5t#S256"), json::value(certificate->thumbprint));
    EXPECT_EQ(claims.at("iss"), "client");
    EXPECT_EQ(claims.at("sub"), "client");
    EXPECT_EQ(claims.at("aud"), "https://id.example/token");
    EXPECT_EQ(claims.at("exp"), 1600);
    EXPECT_EQ(claims.at("nbf"), 1000);

    const auto again = client_assertion(*certificate, "client", "https://id.example/token", true, 1000);
    json::value other_header;
    const auto other = verified(again, certificate->key, SigningKey::Algorithm::ps256, other_header);
    EXPECT_NE(other.at("jti"), claims.at("jti"));
    EXPECT_EQ(other_header.at("alg"), "PS256");
    EXPECT_EQ(other_header.at("x5c").as_array().size(), 1U);
}

TEST(OauthJwt, BadKeysAreToldApartWithoutTellingThem) {
    EXPECT_FALSE(SigningKey::from_pem(Secret("")));
    EXPECT_FALSE(SigningKey::from_pem(Secret("-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY-----\n")));
    EXPECT_FALSE(SigningKey::from_pem(Secret(make_pair_of(1024).key))) << "too short";
    const auto other = make_pair_of();
    const auto mixed = read_client_certificate(Secret(other.certificate), Secret(a_pair().key));
    ASSERT_FALSE(mixed);
    EXPECT_NE(mixed.error().text.find("is not the key"), std::string::npos);
    EXPECT_FALSE(read_client_certificate(Secret("no"), Secret(a_pair().key)));
}

}  // namespace
}  // namespace popgate::oauth
