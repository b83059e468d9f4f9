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
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace popgate::test {
namespace {

/// Dovecots that run as long as this process; see tests/support/dovecot.py.
class Dovecot {
public:
    /// Null when there is none on this machine; one that is there must work.
    static const Dovecot* get(const std::vector<std::string>& options) {
        if (!std::filesystem::exists("/usr/sbin/dovecot")) return nullptr;
        static std::map<std::vector<std::string>, std::unique_ptr<Dovecot>> running;
        auto& dovecot = running[options];
        if (!dovecot) dovecot.reset(new Dovecot(options));
        return dovecot.get();
    }

    Dovecot(const Dovecot&) = delete;
    Dovecot& operator=(const Dovecot&) = delete;
    ~Dovecot() {
        ::close(input_);  // which ends it
        ::waitpid(process_, nullptr, 0);
    }

    std::string imaps_port, password, ca_file;
    std::string token;                         ///< that opens any mailbox; empty: it takes passwords
    std::string master_user, master_password;  ///< likewise
    std::filesystem::path maildir_root;

private:
    explicit Dovecot(const std::vector<std::string>& options) {
        std::array<int, 2> input{}, output{};
        if (::pipe2(input.data(), O_CLOEXEC) != 0 || ::pipe2(output.data(), O_CLOEXEC) != 0)
            throw std::runtime_error("pipe");
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_adddup2(&actions, input[0], STDIN_FILENO);
        ::posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
        std::vector<std::string> words{"/usr/bin/python3", POPGATE_SOURCE_DIR "/tests/support/dovecot.py", "--serve"};
        words.insert(words.end(), options.begin(), options.end());
        std::vector<char*> arguments;
        for (auto& word : words) arguments.push_back(word.data());
        arguments.push_back(nullptr);
        const int error = ::posix_spawn(&process_, arguments[0], &actions, nullptr, arguments.data(), environ);
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
        token = facts.at("token").as_string();
        master_user = facts.at("master").at(0).as_string();
        master_password = facts.at("master").at(1).as_string();
        maildir_root = std::string(facts.at("maildir_root").as_string());
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

/// A server as tests/support/dovecot.py is told to run it, and the folders that the route names there.
struct ImapKind {
    std::vector<std::string> server;
    std::string trash, archive;            // UTF-8; empty: the server must know them
    std::string trash_path, archive_path;  // in the Maildir
    bool server_knows_folders = true;
};

class OneToken final : public TokenSource {
public:
    explicit OneToken(std::string token) : token_(std::move(token)) {}
    Result<Secret> token(Fiber&) override { return Secret(token_); }
    Result<bool> renew(Fiber&, const Secret&) override { return false; }

private:
    std::string token_;
};

class ImapFixture final : public MailboxFixture {
public:
    ImapFixture(const Dovecot& dovecot, ImapKind kind)
        : dovecot_(dovecot), kind_(std::move(kind)), backend_(make_backend_with(kind_.trash, kind_.archive)) {
        if (!kind_.server_knows_folders) without_folders_ = make_backend_with("", "");
    }

    const Backend& backend() const override { return *backend_; }
    std::string user() const override { return user_; }
    std::string password() const override { return dovecot_.password; }
    UpstreamLogin login() const override {
        if (!dovecot_.token.empty()) return {user_, std::make_shared<OneToken>(dovecot_.token)};
        if (dovecot_.master_user.empty()) return MailboxFixture::login();
        UpstreamLogin login(user_, Secret(dovecot_.master_password));
        login.authentication_user = dovecot_.master_user;
        return login;
    }

    std::string deliver(const std::string& raw) override {
        maildir_.deliver(raw);
        return raw;
    }
    void remove(std::size_t index) override { std::filesystem::remove(maildir_.files().at(index)); }
    std::optional<bool> is_seen(std::size_t index) const override { return maildir_.is_seen(index); }
    bool tells_gone_from_removed() const override { return false; }

    bool has_folders() const override { return true; }
    std::vector<std::string> folder(SpecialFolder which) const override {
        const auto path = directory() / (which == SpecialFolder::trash ? kind_.trash_path : kind_.archive_path);
        std::vector<std::string> texts;
        if (!std::filesystem::exists(path)) return texts;
        for (const auto& file : MaildirFixture(path).files()) {
            std::ifstream stream(file, std::ios::binary);
            texts.emplace_back(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
        }
        return texts;
    }
    const Backend* backend_without_folders() const override { return without_folders_.get(); }

private:
    static std::string new_user() {
        static int users = 0;
        return "user" + std::to_string(++users);
    }

    std::filesystem::path directory() const { return dovecot_.maildir_root / user_ / "Maildir"; }

    std::unique_ptr<Backend> make_backend_with(const std::string& trash, const std::string& archive) const {
        BackendOptions options;
        options.url = "imaps://localhost:" + dovecot_.imaps_port;
        options.ca_file = dovecot_.ca_file;
        options.trash_folder = trash;
        options.archive_folder = archive;
        auto backend = make_backend(options);
        if (!backend) throw std::runtime_error(backend.error().text);
        return std::move(*backend);
    }

    const Dovecot& dovecot_;
    ImapKind kind_;
    std::string user_ = new_user();
    MaildirFixture maildir_{directory(), give_to_mail_user};
    std::unique_ptr<Backend> backend_;
    std::unique_ptr<Backend> without_folders_;
};

MailboxKind imap_kind(const std::string& name, ImapKind kind) {
    return {name, [kind] {
                const auto* dovecot = Dovecot::get(kind.server);
                return dovecot ? std::make_unique<ImapFixture>(*dovecot, kind) : nullptr;
            }};
}

// With everything that Dovecot offers; opened by token, and by a master user; with a copy and UID EXPUNGE for a move,
// and folders told without being asked for them; and with nothing but IMAP4rev1 and folders of names that are not
// ASCII.
INSTANTIATE_TEST_SUITE_P(
    , MailboxContract,
    testing::Values(imap_kind("Imap", {{}, "", "", ".Trash", ".Archive", true}),
                    imap_kind("ImapByToken", {{"--oauth"}, "", "", ".Trash", ".Archive", true}),
                    imap_kind("ImapByMasterUser", {{"--master"}, "", "", ".Trash", ".Archive", true}),
                    imap_kind("ImapWithoutMove",
                              {{"--hide", "MOVE", "ESEARCH", "SPECIAL-USE"}, "", "", ".Trash", ".Archive", true}),
                    imap_kind("ImapWithoutExtensions",
                              {{"--no-special-use", "--hide", "UIDPLUS", "MOVE", "ESEARCH", "CONDSTORE", "QRESYNC",
                                "SPECIAL-USE", "LIST-EXTENDED", "ENABLE"},
                               "Ko\u0161",
                               "Archiv/alt & neu",
                               ".Ko&AWE-",
                               ".Archiv.alt &- neu",
                               false})),
    kind_name);

}  // namespace
}  // namespace popgate::test
