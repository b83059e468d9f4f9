#include "gateway/commands/doctor.hpp"

#include "gateway/commands/commands.hpp"
#include "gateway/commands/doctor_certificates.hpp"
#include "gateway/commands/doctor_files.hpp"
#include "gateway/commands/doctor_machine.hpp"
#include "gateway/commands/doctor_network.hpp"
#include "gateway/commands/doctor_store.hpp"
#include "gateway/commands/findings.hpp"
#include "gateway/commands/on_fiber.hpp"
#include "gateway/commands/place.hpp"
#include "gateway/config/config.hpp"
#include "gateway/observe/log.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

namespace popgate::commands {

namespace {

constexpr unsigned names_at_once = 16;  // a name server that does not answer holds a thread each

std::int64_t current_time() {
    using namespace std::chrono;
    return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
}

/// What is said of certificate and key below, in more words.
bool is_told_elsewhere(const ConfigProblem& problem) {
    return problem.is_warning && (problem.key == "tls.certificate" || problem.key == "tls.key");
}

std::string section_of(const std::string& key) {
    const auto name = key.substr(0, key.find_first_of("[."));
    return key.find('[') == std::string::npos ? "[" + name + "]" : "[[" + name + "]]";
}

/// False where it cannot be used.
bool examine_configuration(const std::string& file, const LoadedConfig& loaded, Findings& findings) {
    for (const auto& problem : loaded.problems) {
        if (loaded.usable() && is_told_elsewhere(problem)) continue;
        const auto where = problem.line == 0 ? file : file + ':' + std::to_string(problem.line);
        const auto text = problem.key.empty() ? problem.text : problem.key + ": " + problem.text;
        const auto verdict = problem.is_warning ? Verdict::warning : Verdict::failure;
        const auto advice = problem.key.empty()
                                ? std::string("Name another file with --config, or let this user read it.")
                            : problem.key == "syntax"
                                ? std::string("Correct the line: the file is TOML.")
                                : "See " + section_of(problem.key) + " in the output of popgate config-reference.";
        findings.add({"configuration", where, verdict, text, advice});
    }
    if (!loaded.usable()) return false;
    if (loaded.problems.empty()) findings.add({"configuration", file, Verdict::ok, "can be used"});
    return true;
}

std::vector<Finding> examine_certificates(const Config& config) {
    std::vector<std::string> names;
    const auto url_host = config.enrolment.tls ? place_of(config.enrolment.url).host : std::string();
    for (const auto& name : {config.enrolment.pop3_host, url_host})
        if (!name.empty() && std::ranges::find(names, name) == names.end()) names.push_back(name);
    std::vector<Finding> findings;
    for (const auto& files : certificate_files(config)) {
        std::ranges::move(examine_certificate(files.certificate, files.key, names, current_time()),
                          std::back_inserter(findings));
        names.clear();  // the first is what is shown to who asks for nothing else
    }
    return findings;
}

bool has_failure(const std::vector<Finding>& findings) {
    return std::ranges::any_of(findings, [](const Finding& each) { return each.verdict == Verdict::failure; });
}

int examine(const std::string& file, Console& console) {
    Findings findings(console);
    const auto loaded = load_config(file);
    if (!examine_configuration(file, loaded, findings)) return findings.finish();
    const auto& config = loaded.config;
    LogConfig log;
    log.level = LogLevel::error;
    set_up_log(log);

    findings.add(examine_listeners(config));
    findings.add(examine_certificates(config));
    findings.add(examine_secret_files(config));
    findings.add(examine_local_mailboxes(config));
    const auto store = examine_store(config);
    findings.add(store);
    if (!has_failure(store)) findings.add(examine_keys(config));
    findings.add(examine_limits(config));
    findings.add(examine_kernel_clock());
    std::vector<Finding> network;
    const int code = on_fiber(
        [&](Fiber& fiber) {
            network = examine_network(fiber, config, current_time);
            return fiber.interrupted() ? exit_failed : exit_done;
        },
        names_at_once);
    if (code != exit_done) return code;
    findings.add(network);
    return findings.finish();
}

}  // namespace

struct DoctorCommand::Options {
    CLI::App* doctor = nullptr;
    std::string config = standard_config;
    bool json = false;
};

DoctorCommand::DoctorCommand(CLI::App& app) : options_(std::make_unique<Options>()) {
    auto& options = *options_;
    options.doctor = app.add_subcommand(
        "doctor", "Look at configuration, certificates, names, upstreams, store and clock, and say what to do.");
    options.doctor->add_option("--config", options.config, "The server's configuration file")->capture_default_str();
    options.doctor->add_flag("--json", options.json, "For scripts: a JSON document a line");
}

DoctorCommand::~DoctorCommand() = default;

std::optional<int> DoctorCommand::run() {
    if (!*options_->doctor) return std::nullopt;
    Console console{std::cout, std::cerr, options_->json, false};
    const int exit_code = examine(options_->config, console);
    std::cout.flush();
    if (exit_code == exit_done && !std::cout) {
        std::cerr << "popgate: standard output cannot be written\n";
        return exit_failed;
    }
    return exit_code;
}

}  // namespace popgate::commands
