#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace popgate::rest {

enum class Paging { none, cursor, offset, page };
enum class DateForm { rfc3339, epoch_seconds, epoch_milliseconds };

/// One request: `url` is an absolute path with query, relative to the backend's URL. In it %u, %n and %d are the user's
/// name, {folder} the folder's id and {id} a message's, all percent-encoded. In `body` {id} is a JSON string, {ids} an
/// array of them and {target} the folder that messages are moved to, as a JSON string. An empty url: not offered.
struct Call {
    std::string method;
    std::string url;
    std::string body;
    bool operator==(const Call&) const = default;
};

/// How the mail of an account is reached by a REST API: a [[rest]] section, or a preset. Pointers are JSON pointers
/// (RFC 6901), and an empty one means that the answer does not tell, but for `messages`: there it is the whole answer.
struct Description {
    std::string name;
    std::string auth = "basic";  ///< see http::CredentialForm

    // Where the id of the folder has to be asked for first.
    std::string folder_list;                 ///< GET; empty: {folder} is the folder's name itself
    std::string folders;                     ///< pointer to the array
    std::string folder_id = "/id";           ///< within an element, as are the next two
    std::string folder_name = "/name";       ///< compared with the route's folder; INBOX in any case
    std::string folder_use = "/specialUse";  ///< "\Trash", "\Archive" (RFC 6154)

    std::string list;       ///< GET; also {limit}, and {offset} or {page}
    std::string list_next;  ///< for Paging::cursor: the same with {cursor}
    Paging paging = Paging::none;
    std::uint32_t page_size = 100;  ///< 1 to 10000
    std::uint32_t first = 0;        ///< the offset, or the page's number, where the list begins
    std::string messages;           ///< pointer to the array
    std::string id = "/id";         ///< within an element, as are the next three
    std::string size = "/size";
    std::string date;  ///< empty: the list is taken to be in the order of arrival
    std::string seen;
    std::string next;   ///< pointer to the next cursor; none, null, false or "" in the last page
    std::string total;  ///< pointer to the number of messages in all pages
    DateForm dates = DateForm::rfc3339;
    bool sizes_are_exact = false;
    bool is_one_mailbox = false;     ///< whoever logs in sees the same messages
    bool ids_are_of_folder = false;  ///< an id may be that of another message in another folder
    bool ids_may_return = false;     ///< an id may come back with another message

    std::string raw;              ///< GET: the message as it is
    bool raw_marks_seen = false;  ///< that marks the message as read
    Call remove{"DELETE", {}, {}};
    Call move{"PUT", {}, {}};
    Call mark_seen{"PUT", {}, {}};

    /// "404", or "500 Email not found": a status, and what the body must hold where that is not enough.
    std::string gone = "404";
    std::string gone_too;
    std::uint32_t refused = 401;  ///< the status for a wrong password, besides 401
};

/// Something wrong with a description.
struct Problem {
    std::string key;  ///< as in the configuration
    std::string text;
};

/// Everything that is wrong; empty: it can be used.
std::vector<Problem> check(const Description& description);

/// The preset of that name ("wildduck", "mailpit", "maildev"); null when there is none.
const Description* find_preset(std::string_view name);
const std::vector<Description>& presets();

/// The reference tokens of a pointer, unescaped. False where `pointer` is none.
bool split_pointer(std::string_view pointer, std::vector<std::string>& tokens);

/// What `gone` and `gone_too` are made of. Status 0: cannot be read.
struct Sign {
    unsigned status = 0;
    std::string_view text;
};
Sign parse_sign(std::string_view text);

}  // namespace popgate::rest
