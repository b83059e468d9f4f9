#include "backends/rest/list_stream.hpp"

#include "backends/rest/description.hpp"

#include <boost/json/basic_parser_impl.hpp>

#include <cstddef>
#include <exception>
#include <utility>

namespace popgate::rest {

namespace {

namespace json = boost::json;
using Tokens = std::vector<std::string>;

constexpr std::size_t max_depth = 32;
constexpr std::size_t longest_value = 4096;
constexpr std::size_t longest_key = 256;
constexpr std::size_t most_elements = 1'000'000;

std::vector<Tokens> split_all(const std::vector<std::string>& pointers) {
    std::vector<Tokens> all(pointers.size());
    for (std::size_t i = 0; i < pointers.size(); ++i) split_pointer(pointers[i], all[i]);
    return all;
}

/// The events of boost::json::basic_parser.
class Handler {
public:
    constexpr static std::size_t max_object_size = static_cast<std::size_t>(-1);
    constexpr static std::size_t max_array_size = static_cast<std::size_t>(-1);
    constexpr static std::size_t max_key_size = static_cast<std::size_t>(-1);
    constexpr static std::size_t max_string_size = static_cast<std::size_t>(-1);

    Handler(ListStream& out, std::string_view array, const std::vector<std::string>& in_element,
            const std::vector<std::string>& in_answer)
        : out_(out), in_element_(split_all(in_element)), in_answer_(split_all(in_answer)) {
        split_pointer(array, array_);
        out_.values.resize(in_answer.size());
    }

    bool has_array() const { return has_array_; }
    const char* problem() const { return problem_; }

    bool on_document_begin(json::error_code&) { return true; }
    bool on_document_end(json::error_code&) { return true; }

    bool on_array_begin(json::error_code& error) {
        if (!begin_value(error)) return false;
        if (path_ == array_) {
            if (std::exchange(has_array_, true)) return fail("the list comes twice", error);
            is_inside_ = true;
        }
        open(true);
        return true;
    }
    bool on_array_end(std::size_t, json::error_code&) {
        close();
        if (path_ == array_) is_inside_ = false;
        return end_value();
    }
    bool on_object_begin(json::error_code& error) {
        if (!begin_value(error)) return false;
        open(false);
        return true;
    }
    bool on_object_end(std::size_t, json::error_code&) {
        close();
        return end_value();
    }

    bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
        auto& key = path_.back();
        if (std::exchange(is_new_key_, false)) key.clear();
        // A longer key is in no pointer: it only must not look like one that is.
        if (key.size() <= longest_key) key.append(part.data(), part.size());
        return true;
    }
    bool on_key(json::string_view part, std::size_t size, json::error_code& error) {
        on_key_part(part, size, error);
        is_new_key_ = true;
        return true;
    }

    bool on_string_part(json::string_view part, std::size_t, json::error_code& error) { return take(part, error); }
    bool on_string(json::string_view part, std::size_t, json::error_code& error) {
        return take(part, error) && end_scalar();
    }
    bool on_number_part(json::string_view part, json::error_code& error) { return take(part, error); }
    bool on_int64(std::int64_t, json::string_view part, json::error_code& error) {
        return take(part, error) && end_scalar();
    }
    bool on_uint64(std::uint64_t, json::string_view part, json::error_code& error) {
        return take(part, error) && end_scalar();
    }
    bool on_double(double, json::string_view part, json::error_code& error) {
        return take(part, error) && end_scalar();
    }
    bool on_bool(bool value, json::error_code& error) { return take(value ? "true" : "false", error) && end_scalar(); }
    bool on_null(json::error_code& error) { return take("", error) && end_scalar(); }
    bool on_comment_part(json::string_view, json::error_code&) { return true; }
    bool on_comment(json::string_view, json::error_code&) { return true; }

private:
    /// Where a value begins, in an array that is its next index. An element begins with it where it is one.
    bool begin_value(json::error_code& error) {
        if (!counts_.empty() && counts_.back() >= 0) path_.back() = std::to_string(counts_.back()++);
        if (!is_inside_ || path_.size() != array_.size() + 1) return true;
        if (out_.elements.size() == most_elements) return fail("the list is longer than any mailbox", error);
        out_.elements.emplace_back(in_element_.size());
        return true;
    }
    bool end_value() { return true; }

    void open(bool is_array) {
        counts_.push_back(is_array ? 0 : -1);
        path_.emplace_back();
        is_new_key_ = true;
    }
    void close() {
        counts_.pop_back();
        path_.pop_back();
        is_new_key_ = true;
    }

    bool take(json::string_view part, json::error_code& error) {
        if (!std::exchange(is_in_scalar_, true)) {
            if (!begin_value(error)) return false;
            target_ = find_target();
            if (target_) target_->clear();
        }
        if (!target_) return true;
        if (target_->size() + part.size() > longest_value) return fail("a value is too long", error);
        target_->append(part.data(), part.size());
        return true;
    }
    bool end_scalar() {
        is_in_scalar_ = false;
        return true;
    }

    std::string* find_target() {
        const auto depth = array_.size() + 1;
        if (is_inside_ && path_.size() > depth) {
            for (std::size_t i = 0; i < in_element_.size(); ++i)
                if (!in_element_[i].empty() && is_path(in_element_[i], depth)) return &out_.elements.back()[i];
            return nullptr;
        }
        for (std::size_t i = 0; i < in_answer_.size(); ++i)
            if (!in_answer_[i].empty() && is_path(in_answer_[i], 0)) return &out_.values[i];
        return nullptr;
    }
    bool is_path(const Tokens& tokens, std::size_t from) const {
        return tokens.size() + from == path_.size() &&
               std::equal(tokens.begin(), tokens.end(), path_.begin() + static_cast<std::ptrdiff_t>(from));
    }

    bool fail(const char* problem, json::error_code& error) {
        problem_ = problem;
        error = json::error::exception;
        return false;
    }

    ListStream& out_;
    Tokens array_;
    std::vector<Tokens> in_element_;
    std::vector<Tokens> in_answer_;
    Tokens path_;                       // of the value that is being read
    std::vector<std::int64_t> counts_;  // of each open array its next index, of an object -1
    std::string* target_ = nullptr;
    const char* problem_ = nullptr;
    bool is_new_key_ = true;
    bool is_in_scalar_ = false;
    bool is_inside_ = false;  // of the list
    bool has_array_ = false;
};

json::parse_options limited() {
    json::parse_options options;
    options.max_depth = max_depth;
    return options;
}

}  // namespace

struct ListStream::Parser {
    Parser(ListStream& out, std::string_view array, const std::vector<std::string>& in_element,
           const std::vector<std::string>& in_answer)
        : json(limited(), out, array, in_element, in_answer) {}
    boost::json::basic_parser<Handler> json;
    std::string problem;
    bool has_failed = false;
};

ListStream::ListStream(std::string_view array, const std::vector<std::string>& in_element,
                       const std::vector<std::string>& in_answer)
    : parser_(std::make_unique<Parser>(*this, array, in_element, in_answer)) {}

ListStream::~ListStream() = default;

bool ListStream::write(std::string_view octets) noexcept {
    auto& parser = *parser_;
    if (parser.has_failed) return false;
    boost::json::error_code error;
    try {
        const auto used = parser.json.write_some(true, octets.data(), octets.size(), error);
        if (!error && used == octets.size()) return true;
        const char* own = parser.json.handler().problem();
        parser.problem = own ? own : error ? error.message() : "more than one JSON value";
    } catch (const std::exception&) {
        // It need not be told better: what matters is that the list is not taken for whole.
    }
    parser.has_failed = true;
    return false;
}

Status ListStream::finish() {
    auto& parser = *parser_;
    if (!parser.has_failed) {
        boost::json::error_code error;
        parser.json.write_some(false, "", 0, error);
        if (error) {
            parser.has_failed = true;
            parser.problem = error.message();
        } else if (!parser.json.handler().has_array()) {
            parser.has_failed = true;
            parser.problem = "the list is not where it should be";
        }
    }
    if (!parser.has_failed) return {};
    return Error{Errc::temporary, "the mail server does not answer as it should", parser.problem};
}

}  // namespace popgate::rest
