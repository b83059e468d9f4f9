#include "gateway/commands/findings.hpp"

#include <boost/json/object.hpp>

#include <ostream>
#include <string_view>

namespace popgate::commands {

namespace {

const char* json_word(Verdict verdict) {
    return verdict == Verdict::ok ? "ok" : verdict == Verdict::warning ? "warning" : "failure";
}

const char* sign(Verdict verdict) {
    return verdict == Verdict::ok ? "ok  " : verdict == Verdict::warning ? "warn" : "FAIL";
}

std::string counted(std::size_t count, const char* what) {
    return std::to_string(count) + ' ' + what + (count == 1 ? "" : "s");
}

/// One line, whatever a peer wrote; quotes are as they are.
std::string safe_line(std::string_view text) {
    auto line = plain(text);
    for (std::size_t at = 0; (at = line.find("\\\"", at)) != std::string::npos; ++at) line.erase(at, 1);
    return line;
}

}  // namespace

void Findings::add(const Finding& finding) {
    ++(finding.verdict == Verdict::ok ? ok_ : finding.verdict == Verdict::warning ? warnings_ : failures_);
    if (console_.json)
        return print_json(console_.out, boost::json::object{{"check", finding.check},
                                                            {"subject", json_string(finding.subject)},
                                                            {"verdict", json_word(finding.verdict)},
                                                            {"text", json_string(finding.text)},
                                                            {"advice", json_string(finding.advice)}});
    console_.out << sign(finding.verdict) << ' ' << finding.check;
    if (!finding.subject.empty()) console_.out << ' ' << plain(finding.subject);
    console_.out << ": " << safe_line(finding.text) << '\n';
    if (!finding.advice.empty())
        console_.out << (speaks_utf8() ? "     \u2192 " : "     -> ") << finding.advice << '\n';
    console_.out << std::flush;
}

int Findings::finish() const {
    if (!console_.json)
        console_.out << counted(ok_ + warnings_ + failures_, "check") << ": " << ok_ << " ok, "
                     << counted(warnings_, "warning") << ", " << counted(failures_, "failure") << '\n';
    return failures_ == 0 ? exit_done : exit_failed;
}

}  // namespace popgate::commands
