#include "tests/contract/http_fixture.hpp"

#include "backends/registry.hpp"
#include "backends/rest/description.hpp"

#include <boost/json.hpp>

#include <fcntl.h>
#include <openssl/evp.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <map>
#include <stdexcept>

namespace popgate::test {

namespace {

namespace json = boost::json;

std::string to_base64(const std::string& octets) {
    std::string text(4 * ((octets.size() + 2) / 3) + 1, '\0');
    const int size =
        EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                        reinterpret_cast<const unsigned char*>(octets.data()), static_cast<int>(octets.size()));
    text.resize(static_cast<std::size_t>(size));
    return text;
}

std::string from_base64(std::string_view text) {
    std::string octets(text.size() / 4 * 3 + 1, '\0');
    const int size =
        EVP_DecodeBlock(reinterpret_cast<unsigned char*>(octets.data()),
                        reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
    if (size < 0) throw std::runtime_error("no base64");
    octets.resize(static_cast<std::size_t>(size) - (text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0));
    return octets;
}

/// A process of tests/support/serve_mailbox.py.
class Server {
public:
    static Server& get(const std::string& kind) {
        static std::map<std::string, std::unique_ptr<Server>> running;
        auto& server = running[kind];
        if (!server) server.reset(new Server(kind));
        return *server;
    }

    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server() {
        ::close(input_);  // which ends it
        ::close(output_);
        ::waitpid(process_, nullptr, 0);
    }

    json::object ask(json::object order) const {
        const auto line = json::serialize(order) + "\n";
        for (std::size_t sent = 0; sent < line.size();) {
            const auto count = ::write(input_, line.data() + sent, line.size() - sent);
            if (count <= 0) throw std::runtime_error("the mailbox server has ended");
            sent += static_cast<std::size_t>(count);
        }
        auto answer = read_line();
        if (const auto* error = answer.if_contains("error")) throw std::runtime_error(std::string(error->as_string()));
        if (const auto* refused = answer.if_contains("refused"))
            throw MailboxFixture::Refused(std::string(refused->as_string()));
        return answer;
    }

    std::string backend;
    json::object options, traits;

private:
    explicit Server(const std::string& kind) {
        std::array<int, 2> input{}, output{};
        if (::pipe2(input.data(), O_CLOEXEC) != 0 || ::pipe2(output.data(), O_CLOEXEC) != 0)
            throw std::runtime_error("pipe");
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_adddup2(&actions, input[0], STDIN_FILENO);
        ::posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
        std::vector<std::string> words{"/usr/bin/python3", POPGATE_SOURCE_DIR "/tests/support/serve_mailbox.py", kind};
        std::vector<char*> arguments;
        for (auto& word : words) arguments.push_back(word.data());
        arguments.push_back(nullptr);
        const int error = ::posix_spawn(&process_, arguments[0], &actions, nullptr, arguments.data(), environ);
        ::posix_spawn_file_actions_destroy(&actions);
        ::close(input[0]);
        ::close(output[1]);
        input_ = input[1];
        output_ = output[0];
        if (error != 0) throw std::runtime_error("cannot start python3");
        const auto facts = read_line();
        backend = std::string(facts.at("backend").as_string());
        options = facts.at("options").as_object();
        traits = facts.at("traits").as_object();
    }

    json::object read_line() const {
        std::string line;
        char buffer[4096];
        while (!line.ends_with('\n')) {
            const auto count = ::read(output_, buffer, sizeof buffer);
            if (count <= 0) throw std::runtime_error("the mailbox server does not run");
            line.append(buffer, static_cast<std::size_t>(count));
        }
        return json::parse(line).as_object();
    }

    pid_t process_ = 0;
    int input_ = -1;
    int output_ = -1;
};

class HttpFixture final : public MailboxFixture {
public:
    explicit HttpFixture(const Server& server) : server_(server) {
        const auto user = server_.ask({{"do", "new_user"}});
        user_ = user.at("user").as_string();
        password_ = user.at("password").as_string();
        BackendOptions options;
        options.url = server_.backend;
        const std::pair<const char*, std::string BackendOptions::*> texts[] = {
            {"ca_file", &BackendOptions::ca_file},           {"http_auth", &BackendOptions::http_auth},
            {"mailbox", &BackendOptions::mailbox},           {"folder", &BackendOptions::folder},
            {"trash_folder", &BackendOptions::trash_folder}, {"archive_folder", &BackendOptions::archive_folder},
        };
        for (const auto& [key, member] : texts)
            if (const auto* value = server_.options.if_contains(key)) options.*member = std::string(value->as_string());
        if (const auto* api = server_.options.if_contains("rest_api"))
            options.rest_api = std::make_shared<rest::Description>(*rest::find_preset(api->as_string()));
        options.units_per_minute = 100'000'000;  // nobody is to wait for a quota
        auto made = make_backend(options);
        if (!made) throw std::runtime_error(made.error().text);
        backend_ = std::move(*made);
    }

    const Backend& backend() const override { return *backend_; }
    std::string user() const override { return user_; }
    std::string password() const override { return password_; }

    std::string deliver(const std::string& raw) override {
        return from_base64(
            server_.ask({{"do", "deliver"}, {"user", user_}, {"raw", to_base64(raw)}}).at("raw").as_string());
    }
    void remove(std::size_t index) override { server_.ask({{"do", "remove"}, {"user", user_}, {"index", index}}); }
    std::optional<bool> is_seen(std::size_t index) const override {
        const auto answer = server_.ask({{"do", "is_seen"}, {"user", user_}, {"index", index}});
        const auto& seen = answer.at("seen");
        return seen.is_null() ? std::nullopt : std::optional(seen.as_bool());
    }
    bool tells_gone_from_removed() const override { return server_.traits.at("tells_gone").as_bool(); }
    bool folds_copies() const override { return server_.traits.at("folds_copies").as_bool(); }
    bool refuses_some() const override { return server_.traits.at("refuses_some").as_bool(); }
    bool gives_what_was_removed() const override { return server_.traits.at("gives_removed").as_bool(); }
    bool gives_what_was_moved() const override { return server_.traits.at("gives_moved").as_bool(); }
    bool has_folders() const override { return server_.traits.at("has_folders").as_bool(); }
    std::vector<std::string> folder(SpecialFolder which) const override {
        const char* name = which == SpecialFolder::trash ? "trash" : "archive";
        std::vector<std::string> messages;
        const auto answer = server_.ask({{"do", "folder"}, {"user", user_}, {"which", name}});
        for (const auto& each : answer.at("raw").as_array()) messages.push_back(from_base64(each.as_string()));
        return messages;
    }

private:
    const Server& server_;
    std::string user_, password_;
    std::unique_ptr<Backend> backend_;
};

}  // namespace

std::unique_ptr<MailboxFixture> make_http_fixture(const std::string& kind) {
    return std::make_unique<HttpFixture>(Server::get(kind));
}

}  // namespace popgate::test
