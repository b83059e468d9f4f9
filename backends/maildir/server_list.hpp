#pragma once

#include "backends/errors.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace popgate::maildir {

/// What another mail server wrote down of one message.
struct ServerRecord {
    std::string_view base_name;                 ///< of its file, never empty
    std::uint32_t uid = 0;                      ///< 0: it has none
    std::uint32_t uid_validity = 0;             ///< 0: likewise
    std::optional<std::string_view> unique_id;  ///< where the file says it outright; empty: the base name
};

/// The file in which another mail server keeps its numbers for the messages of a Maildir, read as it comes. Whatever
/// is in it, only one line is kept in memory; a line that says nothing that could be understood is passed over, and so
/// is a last one without its end.
class ServerList {
public:
    enum class Kind {
        dovecot,  ///< dovecot-uidlist, version 1 or 3
        courier,  ///< courierpop3dsizelist, version 2 or 3
    };
    using Take = std::function<void(const ServerRecord&)>;

    /// `take` is called for each record, in the file's order; the views end with the call.
    ServerList(Kind kind, Take take) : kind_(kind), take_(std::move(take)) {}

    /// The next octets. The error says that this is no file of that kind.
    Status add(std::string_view octets);

private:
    Status take_line(std::string_view line);
    Status take_header(std::string_view line);
    void take_dovecots(std::string_view line);
    void take_couriers(std::string_view line);

    Kind kind_;
    Take take_;
    std::string line_;  // its beginning, when its end has not come yet
    bool is_too_long_ = false;
    int version_ = 0;  // 0: no header yet
    std::uint32_t uid_validity_ = 0;
    std::uint32_t last_uid_ = 0;
};

}  // namespace popgate::maildir
