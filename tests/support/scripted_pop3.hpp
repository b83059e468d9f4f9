#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>

#include <istream>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace popgate::test {

/// A POP3 server on loopback that says what a test wants; one session after the other, until it is destroyed. Set up
/// before start().
class ScriptedPop3 {
public:
    struct Message {
        std::string unique_id;
        std::string octets;  ///< CRLF line ends; dot-stuffed here
    };

    std::vector<Message> messages;
    std::string password = "secret";
    std::string greeting = "+OK ready\r\n";
    std::string capabilities = "TOP\r\nUIDL\r\n";
    bool has_top = true;
    std::map<std::string, std::string> replies;  ///< to a whole command line, instead of the right one; empty: closes
    std::string last_command = "QUIT";           ///< closes after the reply to this one

    ScriptedPop3() : acceptor_(context_, {boost::asio::ip::address_v4::loopback(), 0}), socket_(context_) {}
    ~ScriptedPop3() {
        if (!thread_.joinable()) return;
        // shutdown() ends the accept() or read under way; close() alone would not.
        ::shutdown(acceptor_.native_handle(), SHUT_RDWR);
        {
            const std::lock_guard lock(mutex_);
            ending_ = true;
            if (socket_.is_open()) ::shutdown(socket_.native_handle(), SHUT_RDWR);
        }
        thread_.join();
    }
    ScriptedPop3(const ScriptedPop3&) = delete;
    ScriptedPop3& operator=(const ScriptedPop3&) = delete;

    void start() {
        thread_ = std::thread([this] { run(); });
    }
    std::string port() const { return std::to_string(acceptor_.local_endpoint().port()); }

    /// The command lines received so far.
    std::vector<std::string> commands() const {
        const std::lock_guard lock(mutex_);
        return commands_;
    }

private:
    void run() {
        for (;;) {
            boost::system::error_code error;
            boost::asio::ip::tcp::socket next(context_);
            acceptor_.accept(next, error);
            if (error) return;
            {
                const std::lock_guard lock(mutex_);
                if (ending_) return;
                socket_ = std::move(next);
            }
            serve();
            const std::lock_guard lock(mutex_);
            socket_.close(error);
        }
    }

    void serve() {
        boost::system::error_code error;
        boost::asio::write(socket_, boost::asio::buffer(greeting), error);
        boost::asio::streambuf input;
        while (!error) {
            boost::asio::read_until(socket_, input, '\n', error);
            if (error) return;
            std::istream stream(&input);
            std::string line;
            std::getline(stream, line);
            if (line.ends_with('\r')) line.pop_back();
            {
                const std::lock_guard lock(mutex_);
                commands_.push_back(line);
            }
            const auto special = replies.find(line);
            const std::string answer = special == replies.end() ? reply_to(line) : special->second;
            if (answer.empty()) return;
            boost::asio::write(socket_, boost::asio::buffer(answer), error);
            if (line == last_command) return;
        }
    }

    std::string reply_to(const std::string& line) const {
        const std::string verb = line.substr(0, line.find(' '));
        const std::string argument = line.size() > verb.size() ? line.substr(verb.size() + 1) : "";
        if (verb == "PASS") return argument == password ? "+OK\r\n" : "-ERR [AUTH] not with " + argument + "\r\n";
        if (verb == "USER" || verb == "QUIT") return "+OK\r\n";
        if (verb == "CAPA") return capabilities.empty() ? "-ERR\r\n" : "+OK\r\n" + capabilities + ".\r\n";
        if (verb == "UIDL" || verb == "LIST") {
            std::string reply = "+OK\r\n";
            for (std::size_t i = 0; i < messages.size(); ++i)
                reply += std::to_string(i + 1) + ' ' +
                         (verb == "UIDL" ? messages[i].unique_id : std::to_string(messages[i].octets.size())) + "\r\n";
            return reply + ".\r\n";
        }
        const bool is_top = verb == "TOP";
        if ((is_top && has_top) || verb == "RETR") {
            const std::string& octets = messages.at(std::stoul(argument) - 1).octets;
            return "+OK\r\n" + stuffed(is_top ? octets.substr(0, octets.find("\r\n\r\n") + 4) : octets) + ".\r\n";
        }
        return "-ERR what?\r\n";
    }

    static std::string stuffed(const std::string& octets) {
        std::string out;
        for (std::size_t i = 0; i < octets.size(); ++i) {
            if (octets[i] == '.' && (i == 0 || octets[i - 1] == '\n')) out += '.';
            out += octets[i];
        }
        return out;
    }

    boost::asio::io_context context_;
    boost::asio::ip::tcp::acceptor acceptor_;
    boost::asio::ip::tcp::socket socket_;
    mutable std::mutex mutex_;
    std::vector<std::string> commands_;
    bool ending_ = false;
    std::thread thread_;
};

}  // namespace popgate::test
