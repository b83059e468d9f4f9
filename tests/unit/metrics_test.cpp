#include "gateway/observe/metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

namespace popgate::metrics {
namespace {

/// Prometheus' text format as its own parser reads it, as far as popgate writes it.
struct Exposition {
    std::map<std::string, std::string> types;  // by name
    std::map<std::string, std::string> helps;
    std::map<std::string, double> values;  // by name and labels, as written
    std::vector<std::string> faults;

    explicit Exposition(const std::string& text) {
        static const std::regex help(R"re(# HELP ([a-z_]+) ([^\n]+))re");
        static const std::regex type(R"re(# TYPE ([a-z_]+) (counter|gauge|histogram))re");
        static const std::regex sample(
            R"re(([a-z_]+)(\{[a-z]+="(?:[^"\\]|\\.)*"(?:,[a-z]+="(?:[^"\\]|\\.)*")*\})? (-?[0-9.e+-]+|\+Inf))re");
        std::istringstream lines(text);
        std::string current;
        for (std::string line; std::getline(lines, line);) {
            std::smatch match;
            if (std::regex_match(line, match, help)) {
                current = match[1];
                if (!helps.emplace(current, match[2]).second) faults.push_back("told of twice: " + line);
            } else if (std::regex_match(line, match, type)) {
                if (match[1] != current) faults.push_back("the type of another one: " + line);
                types[match[1]] = match[2];
            } else if (std::regex_match(line, match, sample)) {
                const auto name = match[1].str();
                const bool is_its_own = name == current || (types[current] == "histogram" && name.starts_with(current));
                if (!is_its_own) faults.push_back("among those of " + current + ": " + line);
                if (!values.emplace(name + match[2].str(), std::stod(match[3])).second)
                    faults.push_back("twice: " + line);
            } else {
                faults.push_back("unreadable: " + line);
            }
        }
    }
};

double value_in_text(const std::string& series) {
    const auto text = metrics_text();
    const auto at = text.find('\n' + series + ' ');
    return at == std::string::npos ? -1 : std::stod(text.substr(at + series.size() + 2));
}

TEST(MetricsTest, TheTextIsReadable) {
    const Exposition exposition(metrics_text());
    EXPECT_THAT(exposition.faults, testing::IsEmpty());
    for (const auto& [name, type] : exposition.types) EXPECT_TRUE(exposition.helps.contains(name)) << name;
    EXPECT_EQ(exposition.types.size(), exposition.helps.size());
}

TEST(MetricsTest, NamesSayTypeAndUnit) {
    for (const auto& [name, type] : Exposition(metrics_text()).types) {
        EXPECT_EQ(type == "counter", name.ends_with("_total")) << name;
        EXPECT_TRUE(name.starts_with("popgate_") || name.starts_with("process_")) << name;
        if (type == "histogram") EXPECT_TRUE(name.ends_with("_seconds")) << name;
    }
}

TEST(MetricsTest, EverySeriesIsThereFromTheStart) {
    const auto values = Exposition(metrics_text()).values;
    EXPECT_TRUE(values.contains(R"(popgate_logins_total{outcome="login_delay"})"));
    EXPECT_TRUE(values.contains(R"(popgate_tls_handshakes_total{outcome="failed",version="none"})"));
    EXPECT_TRUE(values.contains(R"(popgate_upstream_failures_total{backend="graph",error="permanent"})"));
    EXPECT_TRUE(values.contains(
        R"(popgate_upstream_call_duration_seconds_bucket{backend="mbox",operation="keep_alive",le="+Inf"})"));
    EXPECT_TRUE(values.contains(R"(popgate_info{version=")" POPGATE_VERSION R"("})"));
}

// What would let somebody else decide how many series there are is no label.
TEST(MetricsTest, TheNumberOfSeriesIsBounded) {
    const auto before = Exposition(metrics_text()).values.size();
    EXPECT_LT(before, 1500u);
    for (const std::string url : {"imaps://a.example", "imaps://b.example", "imap://b.example:14300", "nonsense", ""})
        upstream_failures.add(backend_kind_of(url), Failure::temporary);
    for (const std::string verb : {"RETR", "retr", "XYZZY", "GET", "", "user\"}", "\r\n\x01"})
        commands.add(value_of(verb, Command::other));
    EXPECT_EQ(Exposition(metrics_text()).values.size(), before);
}

TEST(MetricsTest, WhatIsCountedIsInTheText) {
    const std::string series = R"(popgate_tls_handshakes_total{outcome="done",version="TLSv1.3"})";
    const auto before = value_in_text(series);
    tls_handshakes.add(Handshake::done, TlsProtocol::tls1_3);
    tls_handshakes.add(Handshake::done, TlsProtocol::tls1_3, 2);
    tls_handshakes.add(Handshake::done, TlsProtocol::tls1_2);
    EXPECT_EQ(value_in_text(series), before + 3);
    EXPECT_EQ(tls_handshakes.value(Handshake::done, TlsProtocol::tls1_3), before + 3);
}

TEST(MetricsTest, LargeNumbersAreExact) {
    const auto before = client_sent_bytes.total();
    client_sent_bytes.add(9'007'199'254'000'000);
    EXPECT_EQ(value_in_text("popgate_client_sent_bytes_total"), before + 9'007'199'254'000'000);
    client_sent_bytes.add(1);
    EXPECT_EQ(value_in_text("popgate_client_sent_bytes_total"), before + 9'007'199'254'000'001);
}

TEST(MetricsTest, TimesGoToTheirBuckets) {
    const auto bucket = [](const char* limit) {
        return value_in_text(R"(popgate_upstream_first_octet_seconds_bucket{backend="other",le=")" +
                             std::string(limit) + "\"}");
    };
    using namespace std::chrono_literals;
    const auto in_ten_ms = bucket("0.01");
    const auto in_fifty_ms = bucket("0.05");
    const auto all = bucket("+Inf");
    const auto sum = value_in_text(R"(popgate_upstream_first_octet_seconds_sum{backend="other"})");
    upstream_first_octet.observe(BackendKind::other, 10ms);
    upstream_first_octet.observe(BackendKind::other, 11ms);
    upstream_first_octet.observe(BackendKind::other, 1h);
    EXPECT_EQ(bucket("0.01"), in_ten_ms + 1);
    EXPECT_EQ(bucket("0.05"), in_fifty_ms + 2);
    EXPECT_EQ(bucket("+Inf"), all + 3);
    EXPECT_EQ(value_in_text(R"(popgate_upstream_first_octet_seconds_count{backend="other"})"), all + 3);
    EXPECT_DOUBLE_EQ(value_in_text(R"(popgate_upstream_first_octet_seconds_sum{backend="other"})"), sum + 3600.021);
}

TEST(MetricsTest, ASessionIsInOneState) {
    const auto in_state = [](const char* state) {
        return value_in_text(R"(popgate_sessions{state=")" + std::string(state) + "\"}");
    };
    const auto begun = sessions_started.total();
    const auto before = in_state("authorization");
    {
        CountedSession session;
        EXPECT_EQ(in_state("authorization"), before + 1);
        session.enter(SessionState::transaction);
        EXPECT_EQ(in_state("authorization"), before);
        EXPECT_EQ(in_state("transaction"), 1);
        session.enter(SessionState::update);
        session.enter(SessionState::update);
        EXPECT_EQ(in_state("transaction"), 0);
        EXPECT_EQ(in_state("update"), 1);
    }
    EXPECT_EQ(in_state("update"), 0);
    EXPECT_EQ(sessions_started.total(), begun + 1);
}

std::map<std::string, double> certificates_in_text() {
    std::map<std::string, double> told;
    const std::string name = "popgate_certificate_expiry_timestamp_seconds{";
    for (const auto& [series, value] : Exposition(metrics_text()).values)
        if (series.starts_with(name)) told[series.substr(name.size())] = value;
    return told;
}

TEST(MetricsTest, CertificatesAreThoseOfNow) {
    set_certificates({{"a.example", 100}, {"b.example", 200}, {"a.example", 50}});
    const std::map<std::string, double> both{{R"(certificate="a.example"})", 50}, {R"(certificate="b.example"})", 200}};
    EXPECT_EQ(certificates_in_text(), both);
    set_certificates({{"b.example", 300}, {"/etc/\"x\\y\"\n.pem", 1}});
    const std::map<std::string, double> others{{R"(certificate="b.example"})", 300},
                                               {R"(certificate="/etc/\"x\\y\"\n.pem"})", 1}};
    EXPECT_EQ(certificates_in_text(), others);
    set_certificates({});
    EXPECT_THAT(certificates_in_text(), testing::IsEmpty());
}

TEST(MetricsTest, OfTooManyCertificatesThoseCountThatExpireFirst) {
    std::vector<Certificate> many;
    for (int i = 0; i < 1000; ++i) many.push_back({"c" + std::to_string(i), 5000 - i});
    many.push_back({std::string(127, 'x') + "\u00e9 and more", 1});
    set_certificates(many);
    const auto told = certificates_in_text();
    EXPECT_EQ(told.size(), most_certificates);
    EXPECT_TRUE(told.contains(R"(certificate="c999"})"));
    EXPECT_FALSE(told.contains(R"(certificate="c0"})"));
    EXPECT_TRUE(told.contains("certificate=\"" + std::string(127, 'x') + "\"}"));
    set_certificates({});
}

TEST(MetricsTest, TheProcessIsLookedAtWhenAsked) {
    EXPECT_GT(value_in_text("process_resident_memory_bytes"), 1e6);
    EXPECT_LT(value_in_text("process_start_time_seconds"), static_cast<double>(std::time(nullptr)) + 1);
    const auto cpu = value_in_text("process_cpu_seconds_total");
    EXPECT_GT(cpu, 0);
    const auto before = value_in_text("process_open_fds");
    const std::ifstream one("/dev/null");
    EXPECT_EQ(value_in_text("process_open_fds"), before + 1);
    EXPECT_GE(value_in_text("process_max_fds"), before + 1);
    EXPECT_GE(value_in_text("process_cpu_seconds_total"), cpu);
}

TEST(MetricsTest, TextsBecomeLabels) {
    EXPECT_EQ(value_of("input after STLS", EndReason::other), EndReason::input_after_stls);
    EXPECT_EQ(value_of("idle timeout", EndReason::other), EndReason::idle_timeout);
    EXPECT_EQ(value_of("", EndReason::other), EndReason::other);
    EXPECT_EQ(value_of("quit ", EndReason::other), EndReason::other);
    EXPECT_EQ(value_of("UIDL", Command::other), Command::uidl);
    EXPECT_EQ(value_of("UID", Command::other), Command::other);
    EXPECT_EQ(tls_protocol_of("TLSv1.3 TLS_AES_256_GCM_SHA384"), TlsProtocol::tls1_3);
    EXPECT_EQ(tls_protocol_of("none"), TlsProtocol::none);
    EXPECT_EQ(backend_kind_of("imaps://mail.example"), BackendKind::imap);
    EXPECT_EQ(backend_kind_of("jmap://mail.example"), BackendKind::jmap);
    EXPECT_EQ(backend_kind_of("graph:"), BackendKind::graph);
    EXPECT_EQ(backend_kind_of("rest:https://mail.example"), BackendKind::rest);
    EXPECT_EQ(backend_kind_of("mapss:x"), BackendKind::other);
}

// Each enumeration has as many names as values, and no name twice.
template <class E>
void expect_names_up_to(E last) {
    EXPECT_EQ(size_of<E>, static_cast<std::size_t>(last) + 1) << Label<E>::name;
    const std::set<std::string_view> names(Label<E>::values.begin(), Label<E>::values.end());
    EXPECT_EQ(names.size(), size_of<E>) << Label<E>::name;
    EXPECT_FALSE(names.contains("")) << Label<E>::name;
    for (std::size_t i = 0; i < size_of<E>; ++i)
        EXPECT_EQ(value_of(text_of(static_cast<E>(i)), last), static_cast<E>(i)) << Label<E>::name;
}

TEST(MetricsTest, EveryLabelValueHasAName) {
    expect_names_up_to(SessionState::update);
    expect_names_up_to(EndReason::other);
    expect_names_up_to(Refusal::out_of_descriptors);
    expect_names_up_to(Handshake::failed);
    expect_names_up_to(TlsProtocol::tls1_3);
    expect_names_up_to(Command::other);
    expect_names_up_to(Login::permanent);
    expect_names_up_to(BackendKind::other);
    expect_names_up_to(Operation::keep_alive);
    expect_names_up_to(Failure::gone);
    expect_names_up_to(IndexHit::changed);
    expect_names_up_to(Refresh::misconfigured);
    expect_names_up_to(StoreUse::write);
    expect_names_up_to(Reload::refused);
}

TEST(MetricsTest, TheReferenceHasEveryMetric) {
    std::set<std::string> in_reference;
    const auto reference = metrics_reference();
    static const std::regex row(R"(\| `([a-z_]+)` \| (counter|gauge|histogram) \| [^|\n]* \| [^|\n]+\. \|)");
    for (std::sregex_iterator each(reference.begin(), reference.end(), row), end; each != end; ++each)
        EXPECT_TRUE(in_reference.insert((*each)[1]).second) << (*each)[1];
    std::set<std::string> in_text;
    for (const auto& [name, type] : Exposition(metrics_text()).types) in_text.insert(name);
    EXPECT_EQ(in_reference, in_text);
}

TEST(MetricsTest, TheDocumentIsWhatTheProgramHas) {
    std::ifstream file(POPGATE_SOURCE_DIR "/docs/monitoring.md");
    const std::string document(std::istreambuf_iterator<char>(file), {});
    const std::string begin = "<!-- metrics -->\n";
    const auto from = document.find(begin);
    const auto to = document.find("<!-- end of metrics -->");
    ASSERT_NE(from, std::string::npos);
    ASSERT_NE(to, std::string::npos);
    EXPECT_TRUE(document.substr(from + begin.size(), to - from - begin.size()) == "\n" + metrics_reference() + "\n")
        << "docs/monitoring.md has to have, between its two marks:\n"
        << metrics_reference();
}

}  // namespace
}  // namespace popgate::metrics
