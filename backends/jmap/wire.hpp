#pragma once

#include "backends/errors.hpp"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// What JMAP writes (RFC 8620, RFC 8621), as values. Pure functions; what comes from the server may be anything, and
/// what cannot be understood is Errc::temporary.
namespace popgate::jmap {

/// What the server says that it bears (RFC 8620 §2); what it does not say is the RFC's suggested minimum. Never 0, and
/// never so much that an answer would be very long.
struct Limits {
    std::size_t objects_in_get = 500;
    std::size_t objects_in_set = 500;
    std::size_t octets_in_request = 10'000'000;
};

struct Account {
    std::string id;
    std::string name;
    bool has_mail = false;
    bool is_personal = false;
};

/// The Session object (RFC 8620 §2).
struct Session {
    std::string api_url;       ///< as written: it may be relative
    std::string download_url;  ///< a URI template, likewise
    std::string primary_account;
    std::vector<Account> accounts;
    Limits limits;
};
Result<Session> parse_session(std::string_view text);

/// The account whose id or, failing that, name is `wanted`; empty: the primary one for mail. Errc::permanent: none.
Result<std::string> choose_account(const Session& session, const std::string& wanted);

struct Call {
    std::string method;
    boost::json::object arguments;
};
/// The call's id is its place, from "0".
std::string make_request(const std::vector<Call>& calls);

struct Answer {
    std::string error;  ///< the type of a method error (RFC 8620 §3.6.2); empty: none
    boost::json::value arguments;
};
/// One answer a call, in the calls' order; a call without one makes the whole response unusable.
Result<std::vector<Answer>> parse_response(std::string_view text, const std::vector<Call>& calls);

/// A request-level error (RFC 8620 §3.6.1): the end of its type behind the last ':', and which limit.
struct Problem {
    std::string type;
    std::string limit;
};
Problem parse_problem(std::string_view text);

/// What a method error or a SetError means; `what` begins the text.
Error to_error(std::string_view type, std::string_view what);

struct Folder {
    std::string id;
    std::string name;
    std::string parent;
    std::string role;
    std::optional<std::uint64_t> total;
};
Result<std::vector<Folder>> parse_folders(const boost::json::value& arguments);
/// By path ("Work/Invoices"), where INBOX in any case is the folder of that role; null: there is none.
const Folder* find_folder(const std::vector<Folder>& folders, std::string_view path);
const Folder* find_role(const std::vector<Folder>& folders, std::string_view role);

struct Email {
    std::string id;
    std::string blob;
    std::optional<std::uint64_t> size;  ///< octets of the raw message
    std::int64_t arrival = 0;           ///< seconds since 1970; 0 when unknown
    std::vector<std::string> folders;
    bool tells_folders = false;  ///< false: nothing is known of them
    bool seen = false;

    bool is_in(std::string_view folder) const;
};
struct Emails {
    std::string state;
    std::vector<Email> list;
    std::vector<std::string> not_found;
};
Result<Emails> parse_emails(const boost::json::value& arguments);

struct Query {
    std::string state;
    std::vector<std::string> ids;
    std::optional<std::uint64_t> total;
    std::uint64_t position = 0;
};
Result<Query> parse_query(const boost::json::value& arguments);

struct Changes {
    std::string new_state;
    bool has_more = false;
    std::vector<std::string> present;  ///< created or updated
    std::vector<std::string> destroyed;
};
Result<Changes> parse_changes(const boost::json::value& arguments);

struct SetAnswer {
    std::vector<std::string> done;                             ///< updated or destroyed
    std::vector<std::pair<std::string, std::string>> refused;  ///< id and type of the SetError
};
Result<SetAnswer> parse_set(const boost::json::value& arguments);

/// The name of a member in a patch (RFC 8620 §5.3, RFC 6901 §3).
std::string pointer_of(std::string_view property, std::string_view member);

/// Where the next look may begin, as Listing::state.
struct ListingState {
    std::string account;
    std::string folder;
    std::string email_state;
    bool operator==(const ListingState&) const = default;
};
std::string to_text(const ListingState& state);
std::optional<ListingState> parse_listing_state(std::string_view text);

}  // namespace popgate::jmap
