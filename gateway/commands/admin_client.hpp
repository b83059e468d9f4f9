#pragma once

#include "backends/errors.hpp"

#include <boost/json/value.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace popgate::commands {

/// Asks the running server at one of its [admin] addresses. Blocks.
class AdminClient {
public:
    using Fields = std::vector<std::pair<std::string, std::string>>;

    struct Answer {
        unsigned status = 0;
        std::string body;

        bool good() const { return status >= 200 && status < 300; }
        /// Null where it is none.
        boost::json::value json() const;
    };

    /// `address`: "unix:PATH", or an IP address with a port (one that stands for all is asked on loopback). `patience`
    /// is for the connection and for each silence.
    AdminClient(std::string address, std::chrono::seconds patience);
    ~AdminClient();
    AdminClient(const AdminClient&) = delete;
    AdminClient& operator=(const AdminClient&) = delete;

    /// The error's text says in a line why there is no answer.
    Result<Answer> get(const std::string& path, const Fields& query = {});
    Result<Answer> post(const std::string& path, const Fields& form = {});

private:
    struct Client;
    std::string address_;
    std::unique_ptr<Client> client_;
};

}  // namespace popgate::commands
