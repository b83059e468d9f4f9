#include "gateway/net/server_certificates.hpp"

#include "tests/support/made_certificate.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <thread>
#include <utility>

namespace popgate {
namespace {

using Files = std::vector<CertificateFiles>;

class ServerCertificatesTest : public testing::Test {
protected:
    /// A pair of files for these names.
    CertificateFiles pair(const std::string& file, std::vector<std::string> names, const std::string& type = "EC") {
        return folder.put(file, make_certificate({.names = std::move(names), .type = type}));
    }
    std::shared_ptr<ServerCertificates> load(Files files) {
        auto loaded = ServerCertificates::load(std::move(files));
        EXPECT_TRUE(loaded) << loaded.error().text;
        return loaded ? *loaded : nullptr;
    }
    /// The files, without ".pem", of what is shown; separated by spaces.
    std::string shown(const ServerCertificates& certificates, std::string_view server) {
        std::string files;
        for (const auto& each : *certificates.choose(server))
            files += (files.empty() ? "" : " ") + std::filesystem::path(each->file).stem().string();
        return files;
    }
    static std::string serial(const ServerCertificates& certificates) {
        const auto pairs = certificates.choose("");
        return std::to_string(ASN1_INTEGER_get(X509_get0_serialNumber(pairs->front()->certificate.get())));
    }

    CertificateFolder folder;
};

TEST_F(ServerCertificatesTest, TheNameDecides) {
    const auto all = load({pair("default", {"mail.example.com"}), pair("org", {"mail.example.org", "pop.example.org"}),
                           pair("wild", {"*.example.org"}), pair("idn", {"xn--bcher-kva.example"})});
    EXPECT_EQ(shown(*all, "mail.example.com"), "default");
    EXPECT_EQ(shown(*all, "mail.example.org"), "org") << "an exact name comes first";
    EXPECT_EQ(shown(*all, "pop.example.org"), "org");
    EXPECT_EQ(shown(*all, "other.example.org"), "wild");
    EXPECT_EQ(shown(*all, "xn--bcher-kva.example"), "idn");
    EXPECT_EQ(shown(*all, "MAIL.Example.ORG"), "org");
    EXPECT_EQ(shown(*all, "mail.example.org."), "org");
    EXPECT_EQ(shown(*all, "other.example.org."), "wild");
}

TEST_F(ServerCertificatesTest, AWildcardIsOneLabel) {
    const auto all = load({pair("default", {"mail.example.com"}), pair("wild", {"*.example.org"})});
    EXPECT_EQ(shown(*all, "a.example.org"), "wild");
    EXPECT_EQ(shown(*all, "a.b.example.org"), "default");
    EXPECT_EQ(shown(*all, "example.org"), "default");
    EXPECT_EQ(shown(*all, ".example.org"), "default");
    EXPECT_EQ(shown(*all, "*.example.org"), "default") << "no client's name";
}

TEST_F(ServerCertificatesTest, WhateverElseIsAskedForGetsTheDefault) {
    const auto all = load({pair("default", {"mail.example.com"}), pair("org", {"mail.example.org"})});
    using namespace std::string_view_literals;
    for (const auto name :
         {""sv, "."sv, ".."sv, "unknown.example"sv, "192.0.2.1"sv, "2001:db8::1"sv, "[::1]"sv, "mail.example.org\0"sv,
          "\0mail.example.org"sv, "mail.example.org\0.evil"sv, "mail.example.org.."sv, "mail..example.org"sv,
          "m\xC3\xA4il.example.org"sv, "mail.example.org "sv, "\xFF\xFF"sv, "mail.example.org/../x"sv})
        EXPECT_EQ(shown(*all, name), "default") << name;
    EXPECT_EQ(shown(*all, std::string(65536, 'a')), "default");
    EXPECT_EQ(shown(*all, std::string(65536, '.')), "default");
    EXPECT_EQ(shown(*all, std::string(65536, '\0')), "default");
}

TEST_F(ServerCertificatesTest, TheConfiguredNamesReplaceThoseOfTheCertificate) {
    auto files = pair("org", {"mail.example.org"});
    files.names = "POP.example.org  *.example.net pop.example.org";
    const auto all = load({pair("default", {}), files});
    EXPECT_EQ(shown(*all, "pop.example.org"), "org");
    EXPECT_EQ(shown(*all, "a.example.net"), "org");
    EXPECT_EQ(shown(*all, "mail.example.org"), "default");
}

TEST_F(ServerCertificatesTest, TheCommonNameCountsWhereNoDnsNameIs) {
    const auto old = folder.put("old", make_certificate({.names = {}, .common_name = "old.example.com"}));
    const auto both = folder.put("new", make_certificate({.names = {"new.example.com"}, .common_name = "not.example"}));
    const auto all = load({pair("default", {}), old, both});
    EXPECT_EQ(shown(*all, "old.example.com"), "old");
    EXPECT_EQ(shown(*all, "new.example.com"), "new");
    EXPECT_EQ(shown(*all, "not.example"), "default");
}

TEST_F(ServerCertificatesTest, EveryTypeOfKeyIsOfferedOnce) {
    const auto all = load({pair("rsa", {"mail.example.com"}, "RSA"), pair("ec", {"mail.example.com"}),
                           pair("second-ec", {"mail.example.com", "pop.example.com"})});
    EXPECT_EQ(shown(*all, "mail.example.com"), "rsa ec");
    EXPECT_EQ(shown(*all, "pop.example.com"), "second-ec");
    EXPECT_EQ(shown(*all, ""), "rsa ec") << "the default is for the same name";
}

TEST_F(ServerCertificatesTest, ABadPairIsNotLoaded) {
    const auto good = pair("good", {"mail.example.com"});
    const auto other = pair("other", {"mail.example.org"});
    const auto text = [&](const Files& files) {
        const auto loaded = ServerCertificates::load(files);
        return loaded ? "loaded" : loaded.error().text;
    };
    EXPECT_EQ(text({good, other}), "loaded");
    EXPECT_EQ(text({good, {.certificate = good.certificate, .key = other.key}}),
              other.key + " does not belong to the certificate " + good.certificate);
    EXPECT_EQ(text({{.certificate = folder.path("none"), .key = good.key}}),
              folder.path("none") + " cannot be read: No such file or directory");
    EXPECT_EQ(text({{.certificate = folder.path(""), .key = good.key}}),
              folder.path("") + " cannot be read: it is no regular file");
    EXPECT_EQ(text({}), "TLS needs a certificate");
}

TEST_F(ServerCertificatesTest, ANewPairIsTakenHoweverItComes) {
    const auto files = pair("server", {"mail.example.com"});
    const auto all = load({files});
    EXPECT_TRUE(all->refresh().empty()) << "nothing has changed";
    auto before = serial(*all);
    const auto expect_swap = [&](const char* how) {
        const auto changes = all->refresh();
        ASSERT_EQ(changes.size(), 1u) << how;
        EXPECT_EQ(changes[0].certificate, files.certificate) << how;
        EXPECT_EQ(changes[0].problem, "") << how;
        EXPECT_NE(serial(*all), before) << how;
        before = serial(*all);
        EXPECT_TRUE(all->refresh().empty()) << how;
    };
    pair("server", {"mail.example.com"});
    expect_swap("renamed");

    const auto made = make_certificate({.names = {"mail.example.com"}});
    std::ofstream(files.certificate) << made.certificate;
    std::ofstream(files.key) << made.key;
    expect_swap("written in place");

    // As Kubernetes does it: the files are links through a link to a directory, and that one is turned.
    namespace fs = std::filesystem;
    const auto turn = [&](const std::string& version) {
        fs::create_directory(folder.path(version));
        folder.put(version + "/server", make_certificate({.names = {"mail.example.com"}}));
        fs::create_directory_symlink(version, folder.path("..data_tmp"));
        fs::rename(folder.path("..data_tmp"), folder.path("..data"));
    };
    turn("..1");
    for (const auto* name : {"server.pem", "server.key"}) {
        fs::remove(folder.path(name));
        fs::create_symlink(std::string("..data/") + name, folder.path(name));
    }
    expect_swap("a link");
    turn("..2");
    expect_swap("a link that was turned");
}

TEST_F(ServerCertificatesTest, NamesChangeWithTheCertificate) {
    const auto all = load({pair("default", {"mail.example.com"}), pair("org", {"old.example.org"})});
    pair("org", {"new.example.org"});
    ASSERT_EQ(all->refresh().size(), 1u);
    EXPECT_EQ(shown(*all, "new.example.org"), "org");
    EXPECT_EQ(shown(*all, "old.example.org"), "default");
}

TEST_F(ServerCertificatesTest, TheSameContentAgainIsNoChange) {
    const auto made = make_certificate({.names = {"mail.example.com"}});
    const auto all = load({folder.put("server", made)});
    folder.put("server", made);
    EXPECT_TRUE(all->refresh().empty());
}

TEST_F(ServerCertificatesTest, ABrokenPairIsToldOnceAndAtTheSecondLook) {
    const auto files = pair("server", {"mail.example.com"});
    const auto all = load({files, pair("other", {"mail.example.org"})});
    const auto before = serial(*all);
    for (const std::string content : {"", "garbage", "-----BEGIN CERTIFICATE-----\nMII"}) {
        folder.put("server.pem", content);
        EXPECT_TRUE(all->refresh().empty()) << content;
        const auto changes = all->refresh();
        ASSERT_EQ(changes.size(), 1u) << content;
        EXPECT_EQ(changes[0].certificate, files.certificate);
        EXPECT_NE(changes[0].problem, "");
        EXPECT_TRUE(all->refresh().empty()) << content;
        ASSERT_EQ(all->problems().size(), 1u);
        EXPECT_EQ(all->problems()[0].problem, changes[0].problem);
        EXPECT_EQ(serial(*all), before) << content;
    }
    std::filesystem::remove(files.certificate);
    EXPECT_TRUE(all->refresh().empty());
    ASSERT_EQ(all->refresh().size(), 1u);
    EXPECT_EQ(all->problems()[0].problem, files.certificate + " cannot be read: No such file or directory");

    pair("server", {"mail.example.com"});
    const auto changes = all->refresh();
    ASSERT_EQ(changes.size(), 1u);
    EXPECT_EQ(changes[0].problem, "");
    EXPECT_TRUE(all->problems().empty());
    EXPECT_NE(serial(*all), before);
}

TEST_F(ServerCertificatesTest, APairThatIsReplacedInTwoStepsIsNotComplainedOf) {
    const auto files = pair("server", {"mail.example.com"});
    const auto all = load({files});
    const auto before = serial(*all);
    const auto made = make_certificate({.names = {"mail.example.com"}});
    folder.put("server.pem", made.certificate);
    EXPECT_TRUE(all->refresh().empty()) << "the key is still the old one";
    EXPECT_EQ(serial(*all), before);
    EXPECT_TRUE(all->problems().empty());
    folder.put("server.key", made.key);
    const auto changes = all->refresh();
    ASSERT_EQ(changes.size(), 1u);
    EXPECT_EQ(changes[0].problem, "");
    EXPECT_NE(serial(*all), before);
}

TEST_F(ServerCertificatesTest, AFileCutInTheMiddleOfItsChainIsNotTaken) {
    const auto authority = make_certificate({.names = {}, .common_name = "authority", .is_authority = true});
    const auto leaf = make_certificate({.names = {"mail.example.com"}, .authority = &authority});
    const auto files = folder.put("server", {leaf.certificate + authority.certificate, leaf.key});
    const auto all = load({files});
    const auto before = all->choose("");
    EXPECT_EQ(sk_X509_num(before->front()->chain.get()), 1);
    folder.put("server.pem", leaf.certificate + authority.certificate.substr(0, authority.certificate.size() - 40));
    EXPECT_TRUE(all->refresh().empty());
    ASSERT_EQ(all->refresh().size(), 1u);
    EXPECT_EQ(all->choose("")->front(), before->front());
}

TEST_F(ServerCertificatesTest, TheFormerContentAgainEndsAProblem) {
    const auto made = make_certificate({.names = {"mail.example.com"}});
    const auto all = load({folder.put("server", made)});
    folder.put("server.key", "garbage");
    EXPECT_TRUE(all->refresh().empty());
    ASSERT_EQ(all->refresh().size(), 1u);
    folder.put("server", made);
    const auto changes = all->refresh();
    ASSERT_EQ(changes.size(), 1u);
    EXPECT_EQ(changes[0].problem, "");
    EXPECT_TRUE(all->problems().empty());
}

TEST_F(ServerCertificatesTest, AnotherConfigurationReplacesThemAll) {
    const auto all = load({pair("default", {"mail.example.com"}), pair("org", {"mail.example.org"})});
    folder.put("org.key", "garbage");
    all->refresh();
    ASSERT_EQ(all->refresh().size(), 1u);
    const auto others = load({pair("net", {"mail.example.net"})});
    all->replace_with(*others);
    EXPECT_EQ(shown(*all, "mail.example.net"), "net");
    EXPECT_EQ(shown(*all, "mail.example.com"), "net");
    EXPECT_TRUE(all->problems().empty());
    const auto before = serial(*all);
    pair("net", {"mail.example.net"});
    ASSERT_EQ(all->refresh().size(), 1u) << "the new files are watched";
    EXPECT_NE(serial(*all), before);
}

TEST_F(ServerCertificatesTest, ExpiriesAreOfThoseInUse) {
    const auto all = load({pair("default", {}), pair("org", {"mail.example.org", "pop.example.org"})});
    const auto expiries = all->expiries();
    ASSERT_EQ(expiries.size(), 2u);
    EXPECT_EQ(expiries[0].name, folder.path("default.pem"));
    EXPECT_EQ(expiries[1].name, "mail.example.org");
    const auto left = expiries[1].not_after - std::chrono::system_clock::now();
    EXPECT_LE(left, std::chrono::hours(24));
    EXPECT_GT(left, std::chrono::hours(23));
}

TEST_F(ServerCertificatesTest, AnyThreadMayChooseWhileTheyAreSwapped) {
    const auto all = load({pair("server", {"mail.example.com"})});
    std::vector<std::jthread> threads;
    for (int i = 0; i < 2; ++i)
        threads.emplace_back([&all](const std::stop_token& stop) {
            while (!stop.stop_requested()) {
                const auto pairs = all->choose("mail.example.com");
                ASSERT_EQ(pairs->size(), 1u);
                ASSERT_EQ(X509_check_private_key(pairs->front()->certificate.get(), pairs->front()->key.get()), 1);
                std::this_thread::yield();
            }
        });
    for (int i = 0; i < 10; ++i) {
        pair("server", {"mail.example.com"});
        ASSERT_EQ(all->refresh().size(), 1u);
    }
}

TEST(ServerNames, AreThoseOfTheDns) {
    const auto label = std::string(63, 'a');
    for (const auto& name : {std::string("localhost"), std::string("mail.example.com"), std::string("*.example.com"),
                             std::string("1.2.example.com"), std::string("a_b.example"), label + ".example",
                             label + '.' + label + '.' + label + '.' + label.substr(0, 61)})
        EXPECT_TRUE(is_server_name(name)) << name;
    for (const auto& name :
         {std::string(), std::string("."), std::string("*"), std::string("*."), std::string("a.*.example"),
          std::string("*a.example"), std::string("a..example"), std::string("example.com."), std::string("192.0.2.1"),
          std::string("2001:db8::1"), std::string("b\xC3\xBC.example"), std::string("a b"), std::string("a\0b", 3),
          label + "a.example", label + '.' + label + '.' + label + '.' + label.substr(0, 62)})
        EXPECT_FALSE(is_server_name(name)) << name;
}

}  // namespace
}  // namespace popgate
