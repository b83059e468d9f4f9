#include "backends/unique_id_template.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace popgate::unique_id {

namespace {

constexpr std::size_t longest_template = 500;
constexpr int widest = 256;  // as Dovecot 2.4's own limit

constexpr std::string_view variables = "%u or %{uid}, %v or %{uidvalidity}, %f or %{filename}, %{gmail_id}";

Error bad(std::string text) { return Error{Errc::permanent, std::move(text), {}}; }

/// Nothing where OpenSSL was set up without it (FIPS).
std::optional<std::string> md5(std::string_view text) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (EVP_Digest(text.data(), text.size(), digest, &size, EVP_md5(), nullptr) != 1) return std::nullopt;
    return to_hex({digest, size});
}

std::optional<Source> source_named(std::string_view name) {
    static constexpr std::pair<std::string_view, Source> names[] = {
        {"u", Source::uid},
        {"uid", Source::uid},
        {"v", Source::uid_validity},
        {"uidvalidity", Source::uid_validity},
        {"f", Source::file_name},
        {"filename", Source::file_name},
        {"gmail_id", Source::gmail_id},
    };
    for (const auto& [known, source] : names)
        if (known == name) return source;
    return std::nullopt;
}

class Parser {
public:
    explicit Parser(std::string_view text) : text_(text) {}

    Result<std::vector<Piece>> run() {
        if (text_.size() > longest_template) return bad("a template may have 500 characters");
        while (!at_end()) {
            if (text_[at_] != '%') {
                if (auto status = literal(text_[at_++]); !status) return status.error();
                continue;
            }
            ++at_;
            auto status = text_.substr(at_, 1) == "%" ? (++at_, literal('%')) : variable();
            if (!status) return status.error();
        }
        return std::move(pieces_);
    }

private:
    bool at_end() const { return at_ == text_.size(); }
    char peek() const { return at_end() ? '\0' : text_[at_]; }
    bool take(char wanted) { return peek() == wanted && (++at_, true); }
    void skip_blanks() {
        while (peek() == ' ' || peek() == '\t') ++at_;
    }

    Status literal(char c) {
        if (c < 0x21 || c > 0x7E) return bad("a unique-id has characters of 0x21 to 0x7E only");
        if (pieces_.empty() || pieces_.back().source != Source::text) pieces_.emplace_back();
        pieces_.back().text += c;
        return {};
    }

    /// Digits; 0 where there is none. Nothing when it is too large.
    std::optional<int> number() {
        int value = 0;
        while (peek() >= '0' && peek() <= '9') {
            value = value * 10 + (text_[at_++] - '0');
            if (value > widest) return std::nullopt;
        }
        return value;
    }

    /// What follows a '%': [-][0][offset.][0][-][width][modifiers]variable, or {variable | filter | …}.
    Status variable() {
        Piece piece;
        auto size = offset_and_width();
        if (!size) return bad("a width in a template may be 256 at most");
        if (auto status = modifiers(piece.filters); !status) return status;
        if (at_end()) return bad("the template ends within a variable");

        const bool is_long = take('{');
        const auto name = is_long ? word() : text_.substr(at_++, 1);
        const auto source = source_named(name);
        if (!source)
            return bad("\"%" + std::string(is_long ? "{" : "") + std::string(name) + std::string(is_long ? "}" : "") +
                       "\" is no variable that is known here (" + std::string(variables) + ")");
        piece.source = *source;
        if (is_long)
            if (auto status = long_filters(piece.filters); !status) return status;
        if (size->offset != 0 || size->width != 0) piece.filters.push_back(*size);
        if (auto status = judge(piece); !status) return status;
        pieces_.push_back(std::move(piece));
        return {};
    }

    std::optional<Filter> offset_and_width() {
        Filter size{Filter::Kind::cut, 0, 0};
        const bool is_negative = take('-');
        bool is_padded = take('0');
        auto value = number();
        if (!value) return std::nullopt;
        size.width = *value;
        if (take('.')) {
            size.offset = is_negative ? -size.width : size.width;
            is_padded = take('0');
            const bool is_negative_width = take('-');
            value = number();
            if (!value) return std::nullopt;
            size.width = is_negative_width ? -*value : *value;
        }
        if (is_padded) size.kind = Filter::Kind::pad;
        return size;
    }

    Status modifiers(std::vector<Filter>& filters) {
        for (; peek() >= 'A' && peek() <= 'Z'; ++at_) {
            switch (peek()) {
                case 'X': filters.push_back({Filter::Kind::hex}); break;
                case 'L': filters.push_back({Filter::Kind::lower}); break;
                case 'U': filters.push_back({Filter::Kind::upper}); break;
                case 'R': filters.push_back({Filter::Kind::reverse}); break;
                case 'M': filters.push_back({Filter::Kind::md5}); break;
                default:
                    return bad(std::string("\"") + peek() +
                               "\" is no modifier that is known here (X hexadecimal, L lower case, U upper case, R "
                               "reversed, M MD5)");
            }
        }
        return {};
    }

    std::string_view word() {
        skip_blanks();
        const auto start = at_;
        while (!at_end() && std::string_view(" \t|(){}").find(peek()) == std::string_view::npos) ++at_;
        const auto found = text_.substr(start, at_ - start);
        skip_blanks();
        return found;
    }

    Status long_filters(std::vector<Filter>& filters) {
        while (take('|')) {
            const auto name = word();
            std::optional<int> argument;
            if (take('(')) {
                skip_blanks();
                const bool is_negative = take('-');
                argument = number();
                skip_blanks();
                if (!argument || !take(')'))
                    return bad("\"" + std::string(name) + "\" in a template takes a width up to 256");
                if (is_negative) argument = -*argument;
                skip_blanks();
            }
            if (name == "hex") {
                filters.push_back({Filter::Kind::hex});
                if (argument.value_or(0) != 0) filters.push_back({Filter::Kind::resize, 0, *argument});
                continue;
            }
            if (argument) return bad("\"" + std::string(name) + "\" in a template takes no width");
            if (name == "lower")
                filters.push_back({Filter::Kind::lower});
            else if (name == "upper")
                filters.push_back({Filter::Kind::upper});
            else if (name == "reverse")
                filters.push_back({Filter::Kind::reverse});
            else if (name == "md5")
                filters.push_back({Filter::Kind::md5});
            else if (name != "hexlify" || filters.empty() || filters.back().kind != Filter::Kind::md5)
                return bad(
                    "\"" + std::string(name) +
                    "\" is no filter that is known here (hex, lower, upper, reverse, md5, and hexlify behind it)");
        }
        if (!take('}')) return bad("a variable in the template has no closing brace");
        return {};
    }

    static Status judge(const Piece& piece) {
        bool is_number = piece.source != Source::file_name;
        for (const auto& filter : piece.filters) {
            if (filter.kind == Filter::Kind::md5 && !md5({})) return bad("this OpenSSL has no MD5");
            if (filter.kind == Filter::Kind::hex && !is_number) return bad("only a number can be made hexadecimal");
            is_number = is_number && (filter.kind == Filter::Kind::lower || filter.kind == Filter::Kind::upper);
        }
        return {};
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::vector<Piece> pieces_;
};

void change_case(std::string& value, char from, char to) {
    for (char& c : value)
        if (c >= from && c <= from + 25) c = static_cast<char>(c - from + to);
}

void leave_out(std::string& value, int offset) {
    const auto count = std::min(static_cast<std::size_t>(offset < 0 ? -offset : offset), value.size());
    value.erase(0, offset < 0 ? value.size() - count : count);
}

void resize(std::string& value, int width) {
    const auto size = static_cast<std::size_t>(width < 0 ? -width : width);
    if (width < 0)
        value.resize(size, '0');
    else if (value.size() < size)
        value.insert(0, size - value.size(), '0');
    else
        value.erase(0, value.size() - size);
}

void apply(const Filter& filter, std::string& value) {
    switch (filter.kind) {
        case Filter::Kind::hex: {
            std::uint64_t number = 0;
            std::from_chars(value.data(), value.data() + value.size(), number);
            char digits[16];
            value.assign(digits, std::to_chars(digits, std::end(digits), number, 16).ptr);
            break;
        }
        case Filter::Kind::lower: change_case(value, 'A', 'a'); break;
        case Filter::Kind::upper: change_case(value, 'a', 'A'); break;
        case Filter::Kind::reverse: std::ranges::reverse(value); break;
        case Filter::Kind::md5: value = md5(value).value(); break;  // parse() has tried it
        case Filter::Kind::cut: {
            leave_out(value, filter.offset);
            // A negative width counts from the end, and does nothing where that is too far.
            const auto width = filter.width < 0 ? static_cast<int>(value.size()) + filter.width : filter.width;
            if (filter.width != 0 && width >= 0) value.resize(std::min(value.size(), static_cast<std::size_t>(width)));
            break;
        }
        case Filter::Kind::pad:
            leave_out(value, filter.offset);
            if (filter.width > 0 && value.size() < static_cast<std::size_t>(filter.width)) resize(value, filter.width);
            break;
        case Filter::Kind::resize: resize(value, filter.width); break;
    }
}

}  // namespace

std::string to_hex(std::span<const unsigned char> octets) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (const auto octet : octets) text += {digits[octet >> 4], digits[octet & 15]};
    return text;
}

Result<Template> Template::parse(std::string_view text) {
    auto pieces = Parser(text).run();
    if (!pieces) return pieces.error();
    Template made;
    made.pieces_ = std::move(*pieces);
    if (!made.uses(Source::uid) && !made.uses(Source::gmail_id) && !made.uses(Source::file_name))
        return bad("nothing in the template tells one message from another (" + std::string(variables) + ")");
    return made;
}

bool Template::uses(Source source) const {
    return std::ranges::any_of(pieces_, [source](const Piece& piece) { return piece.source == source; });
}

std::string Template::make(const UniqueIdParts& parts) const {
    std::string id;
    for (const auto& piece : pieces_) {
        std::string value;
        switch (piece.source) {
            case Source::text: value = piece.text; break;
            case Source::uid: value = std::to_string(parts.uid); break;
            case Source::uid_validity: value = std::to_string(parts.uid_validity); break;
            case Source::gmail_id: value = std::to_string(parts.gmail_id); break;
            case Source::file_name: value = parts.file_name; break;
        }
        for (const auto& filter : piece.filters) apply(filter, value);
        id += value;
    }
    return id;
}

}  // namespace popgate::unique_id
