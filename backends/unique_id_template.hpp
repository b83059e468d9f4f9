#pragma once

#include "backends/errors.hpp"
#include "backends/unique_id_format.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace popgate::unique_id {

enum class Source { text, uid, uid_validity, gmail_id, file_name };

/// What is done with a variable's value, one after the other. Named after Dovecot's modifiers and filters.
struct Filter {
    enum class Kind {
        hex,      ///< a number in hexadecimal digits, lower case
        lower,    ///
        upper,    ///
        reverse,  ///
        md5,      ///< in hexadecimal digits
        cut,      ///< 2.3's [offset.]width: leaves out the first or keeps the last, then at most so many
        pad,      ///< 2.3's [offset.]0width: leaves out likewise, then zeros in front
        resize,   ///< 2.4's hex(width): zeros in front and the last `width`; negative: behind and the first
    };
    Kind kind = Kind::hex;
    int offset = 0;
    int width = 0;
};

struct Piece {
    Source source = Source::text;
    std::string text;  ///< of Source::text
    std::vector<Filter> filters;
};

/// A unique-id's form, in either spelling of Dovecot's pop3_uidl_format. Renders what Dovecot would.
class Template {
public:
    /// The error's text says what is wrong.
    static Result<Template> parse(std::string_view text);

    bool uses(Source source) const;
    std::string make(const UniqueIdParts& parts) const;

private:
    std::vector<Piece> pieces_;
};

/// Two digits an octet, lower case.
std::string to_hex(std::span<const unsigned char> octets);

}  // namespace popgate::unique_id
