#include "backends/registry.hpp"
#include "tests/contract/mailbox_contract.hpp"
#include "tests/contract/maildir_fixture.hpp"

#include <boost/json.hpp>

#include <fcntl.h>
#include <pwd.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <stdexcept>

namespace popgate::test {
namespace {

/// A Dovecot that runs as long as this process; see tests/support/dovecot.py.
class Dovecot {
public:
    /// Null when there is none on this machine; one that is there must work.
    static const Dovecot* get() {
        if (!std::filesystem::exists("/usr/sbin/dovecot")) return nullptr;
        static const Dovecot dovecot;
        return &dovecot;
    }

    Dovecot(const Dovecot&) = delete;
    Dovecot& operator=(const Dovecot&) = delete;

    std::string imaps_port, password, ca_file;
    std::filesystem::path maildir_root;

private:
    Dovecot() {
        std::array<int, 2> input{}, output{};
        if (::pipe2(input.data(), O_CLOEXEC) != 0 || ::pipe2(output.data(), O_CLOEXEC) != 0)
            throw std::runtime_error("pipe");
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_adddup2(&actions, input[0], STDIN_FILENO);
        ::posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
        std::string python = "/usr/bin/python3", script = POPGATE_SOURCE_DIR "/tests/support/dovecot.py",
                    serve = "--serve";
        std::array<char*, 4> arguments{python.data(), script.data(), serve.data(), nullptr};
        const int error = ::posix_spawn(&process_, python.c_str(), &actions, nullptr, arguments.data(), environ);
        ::posix_spawn_file_actions_destroy(&actions);
        ::close(input[0]);
        ::close(output[1]);
        input_ = input[1];
        if (error != 0) throw std::runtime_error("cannot start python3");

        std::string line;
        char c = 0;
        while (::read(output[0], &c, 1) == 1 && c != '\n') line += c;
        ::close(output[0]);
        if (line.empty()) throw std::runtime_error("Dovecot does not start");
        const auto facts = boost::json::parse(line).as_object();
        imaps_port = std::to_string(facts.at("imaps").as_int64());
        password = facts.at("password").as_string();
        ca_file = facts.at("ca_file").as_string();
        maildir_root = std::string(facts.at("maildir_root").as_string());
    }

    ~Dovecot() {
        ::close(input_);  // which ends it
        ::waitpid(process_, nullptr, 0);
    }

    pid_t process_ = 0;
    int input_ = -1;
};

/// Dovecot's processes run as nobody when we are root.
void give_to_mail_user(const std::filesystem::path& path) {
    if (::geteuid() != 0) return;
    const auto* nobody = ::getpwnam("nobody");
    if (!nobody || ::chown(path.c_str(), nobody->pw_uid, nobody->pw_gid) != 0)
        throw std::runtime_error("chown " + path.string());
}

std::unique_ptr<Backend> make_backend_at(const Dovecot& dovecot) {
    BackendOptions options;
    options.url = "imaps://localhost:" + dovecot.imaps_port;
    options.ca_file = dovecot.ca_file;
    auto backend = make_backend(options);
    if (!backend) throw std::runtime_error(backend.error().text);
    return std::move(*backend);
}

class ImapFixture final : public MailboxFixture {
public:
    explicit ImapFixture(const Dovecot& dovecot) : dovecot_(dovecot), backend_(make_backend_at(dovecot)) {}

    const Backend& backend() const override { return *backend_; }
    std::string user() const override { return user_; }
    std::string password() const override { return dovecot_.password; }

    std::string deliver(const std::string& raw) override {
        maildir_.deliver(raw);
        return raw;
    }
    void remove(std::size_t index) override { std::filesystem::remove(maildir_.files().at(index)); }
    std::optional<bool> is_seen(std::size_t index) const override { return maildir_.is_seen(index); }
    bool tells_gone_from_removed() const override { return false; }

private:
    static std::string new_user() {
        static int users = 0;
        return "user" + std::to_string(++users);
    }

    const Dovecot& dovecot_;
    std::string user_ = new_user();
    MaildirFixture maildir_{dovecot_.maildir_root / user_ / "Maildir", give_to_mail_user};
    std::unique_ptr<Backend> backend_;
};

std::unique_ptr<MailboxFixture> make_imap_fixture() {
    const auto* dovecot = Dovecot::get();
    return dovecot ? std::make_unique<ImapFixture>(*dovecot) : nullptr;
}

INSTANTIATE_TEST_SUITE_P(, MailboxContract, testing::Values(MailboxKind{"Imap", make_imap_fixture}), kind_name);

}  // namespace
}  // namespace popgate::test
