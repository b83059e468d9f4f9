#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace popgate::web {

/// Named values in the order in which they came.
class Fields {
public:
    void add(std::string name, std::string value) { all_.emplace_back(std::move(name), std::move(value)); }
    /// The value; empty where there is none, or more than one: what is said twice could be read in two ways.
    std::string get(std::string_view name) const;
    bool has(std::string_view name) const;
    std::size_t size() const { return all_.size(); }
    const std::vector<std::pair<std::string, std::string>>& all() const { return all_; }

private:
    std::vector<std::pair<std::string, std::string>> all_;
};

/// application/x-www-form-urlencoded, of a body or a query (WHATWG URL §5.1). Nothing for a '%' that begins no octet,
/// and for more than 100 fields.
std::optional<Fields> parse_form(std::string_view text);

/// A Cookie header (RFC 6265 §5.4). What is no pair is skipped.
Fields parse_cookies(std::string_view header);

}  // namespace popgate::web
