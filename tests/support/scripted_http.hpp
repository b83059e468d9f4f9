#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace popgate::test {

/// An HTTP server on loopback that says, octet for octet, what a test wants; any number of connections at once. What
/// `answer` gives is sent as it is; nothing closes the connection, and so does an answer that ends in `hang_up`.
class ScriptedHttp {
public:
    struct Asked {
        std::string head;  ///< request line and headers
        std::string body;
        unsigned connection = 0;  ///< counted from 1
        std::string target() const {
            const auto begin = head.find(' ') + 1;
            return head.substr(begin, head.find(' ', begin) - begin);
        }
        bool has(const std::string& text) const { return head.find(text) != std::string::npos; }
    };
    using Answer = std::function<std::string(const Asked&, std::size_t number)>;  ///< number: from 1
    static constexpr const char* hang_up = "<hang up>";

    explicit ScriptedHttp(Answer answer)
        : answer_(std::move(answer)), acceptor_(context_, {boost::asio::ip::address_v4::loopback(), 0}) {
        acceptor_thread_ = std::thread([this] { accept(); });
    }
    ~ScriptedHttp() {
        ::shutdown(acceptor_.native_handle(), SHUT_RDWR);
        acceptor_thread_.join();
        {
            const std::lock_guard lock(mutex_);
            for (auto& each : sockets_) ::shutdown(each.native_handle(), SHUT_RDWR);
        }
        for (auto& each : threads_) each.join();
    }
    ScriptedHttp(const ScriptedHttp&) = delete;
    ScriptedHttp& operator=(const ScriptedHttp&) = delete;

    std::string port() const { return std::to_string(acceptor_.local_endpoint().port()); }
    std::string origin() const { return "http://127.0.0.1:" + port(); }
    std::vector<Asked> asked() const {
        const std::lock_guard lock(mutex_);
        return asked_;
    }
    /// The greatest number of requests that were under way at one time.
    unsigned most_at_once() const {
        const std::lock_guard lock(mutex_);
        return most_at_once_;
    }

    /// A whole answer.
    static std::string say(const std::string& status, const std::string& body, const std::string& headers = "") {
        return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + headers + "\r\n" +
               body;
    }
    static std::string chunk(const std::string& data) {
        char size[20];
        std::snprintf(size, sizeof size, "%zx\r\n", data.size());
        return size + data + "\r\n";
    }

private:
    using tcp = boost::asio::ip::tcp;

    void accept() {
        for (unsigned number = 1;; ++number) {
            boost::system::error_code error;
            tcp::socket socket(context_);
            acceptor_.accept(socket, error);
            if (error) return;
            const std::lock_guard lock(mutex_);
            auto& kept = sockets_.emplace_back(std::move(socket));
            threads_.emplace_back([this, &kept, number] { serve(kept, number); });
        }
    }

    void serve(tcp::socket& socket, unsigned connection) {
        boost::system::error_code error;
        std::string input;
        for (;;) {
            const auto end = boost::asio::read_until(socket, boost::asio::dynamic_buffer(input), "\r\n\r\n", error);
            if (error) break;
            Asked asked{input.substr(0, end), {}, connection};
            input.erase(0, end);
            const auto length_at = asked.head.find("Content-Length: ");
            const auto length = length_at == std::string::npos ? 0 : std::stoul(asked.head.substr(length_at + 16));
            if (input.size() < length)
                boost::asio::read(socket, boost::asio::dynamic_buffer(input),
                                  boost::asio::transfer_at_least(length - input.size()), error);
            if (error) break;
            asked.body = input.substr(0, length);
            input.erase(0, length);
            std::size_t number = 0;
            {
                const std::lock_guard lock(mutex_);
                asked_.push_back(asked);
                number = asked_.size();
                most_at_once_ = std::max(most_at_once_, ++under_way_);
            }
            auto answer = answer_(asked, number);
            const bool ends = answer.empty() || answer.ends_with(hang_up);
            if (answer.ends_with(hang_up)) answer.resize(answer.size() - std::string(hang_up).size());
            {
                const std::lock_guard lock(mutex_);
                --under_way_;
            }
            boost::asio::write(socket, boost::asio::buffer(answer), error);
            if (error || ends) break;
        }
        const std::lock_guard lock(mutex_);
        ::shutdown(socket.native_handle(), SHUT_RDWR);
    }

    Answer answer_;
    boost::asio::io_context context_;
    tcp::acceptor acceptor_;
    mutable std::mutex mutex_;
    std::vector<Asked> asked_;
    unsigned under_way_ = 0;
    unsigned most_at_once_ = 0;
    std::list<tcp::socket> sockets_;
    std::list<std::thread> threads_;
    std::thread acceptor_thread_;
};

}  // namespace popgate::test
