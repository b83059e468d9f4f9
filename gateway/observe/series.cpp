#include "gateway/observe/series.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace popgate::metrics {

namespace {

std::string escaped(std::string_view text, bool is_label) {
    std::string out;
    for (const char c : text) {
        if (c == '\n')
            out += "\\n";
        else if (c == '\\' || (is_label && c == '"'))
            (out += '\\') += c;
        else
            out += c;
    }
    return out;
}

/// The shortest text that is read as the same number.
std::string number(double value) {
    if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
    char text[32];
    const auto [end, error] = std::to_chars(text, text + sizeof text, value);
    return {text, end};
}

std::string in_braces(const LabelValues& labels) {
    std::string text;
    for (const auto& [name, value] : labels)
        text += (text.empty() ? "{" : ",") + name + "=\"" + escaped(value, true) + '"';
    return text.empty() ? text : text + '}';
}

void append_line(std::string& text, const std::string& name, const LabelValues& labels, double value) {
    text.append(name).append(in_braces(labels)).append(" ").append(number(value)).append("\n");
}

void append_histogram(std::string& text, const std::string& name, const LabelValues& labels,
                      const Histogram& histogram) {
    const auto state = histogram.state();
    std::uint64_t count = 0;
    for (std::size_t i = 0; i < state.counts.size(); ++i) {
        count += state.counts[i];
        auto with_limit = labels;
        with_limit.emplace_back("le", i < state.limits.size() ? number(state.limits[i]) : "+Inf");
        append_line(text, name + "_bucket", with_limit, static_cast<double>(count));
    }
    append_line(text, name + "_sum", labels, state.sum);
    append_line(text, name + "_count", labels, static_cast<double>(count));
}

}  // namespace

Histogram::Histogram(std::span<const double> limits)
    : state_{{limits.begin(), limits.end()}, std::vector<std::uint64_t>(limits.size() + 1), 0} {}

void Histogram::observe(double value) {
    const std::lock_guard guard(mutex_);
    const auto bucket = std::ranges::lower_bound(state_.limits, value) - state_.limits.begin();
    ++state_.counts[static_cast<std::size_t>(bucket)];
    state_.sum += value;
}

Histogram::State Histogram::state() const {
    const std::lock_guard guard(mutex_);
    return state_;
}

Value& Family::add(LabelValues labels) {
    series_.push_back({std::move(labels), std::make_unique<Value>(), nullptr});
    return *series_.back().value;
}

Histogram& Family::add(LabelValues labels, std::span<const double> limits) {
    series_.push_back({std::move(labels), nullptr, std::make_unique<Histogram>(limits)});
    return *series_.back().histogram;
}

void Family::remove(const Value& value) {
    std::erase_if(series_, [&](const Series& each) { return each.value.get() == &value; });
}

std::string Family::text() const {
    std::string text = "# HELP " + name_ + ' ' + escaped(help_, false) + '\n';
    text.append("# TYPE ").append(name_).append(" ").append(name_of(type_)).append("\n");
    for (const auto& each : series_) {
        if (each.histogram)
            append_histogram(text, name_, each.labels, *each.histogram);
        else
            append_line(text, name_, each.labels, each.value->get());
    }
    return text;
}

std::string_view name_of(Family::Type type) {
    switch (type) {
        case Family::Type::counter: return "counter";
        case Family::Type::gauge: return "gauge";
        case Family::Type::histogram: break;
    }
    return "histogram";
}

}  // namespace popgate::metrics
