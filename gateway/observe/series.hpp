#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace popgate::metrics {

// What Prometheus' client libraries offer, as far as it is needed. Debian's package of the one for C++ cannot be
// installed beside libetpan's: each wants another one of curl's.

/// Label names and values, in the order in which they are written.
using LabelValues = std::vector<std::pair<std::string, std::string>>;

/// A number that grows, or goes up and down. Any thread.
class Value {
public:
    void add(double amount) { value_.fetch_add(amount, std::memory_order_relaxed); }
    void set(double value) { value_.store(value, std::memory_order_relaxed); }
    double get() const { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<double> value_{0};
};

/// Observations by size. Any thread; locks for a moment.
class Histogram {
public:
    /// `limits`: the buckets' upper ends, ascending; one more is for what is above.
    explicit Histogram(std::span<const double> limits);
    void observe(double value);

    struct State {
        std::vector<double> limits;
        std::vector<std::uint64_t> counts;  ///< one more than limits; not cumulative
        double sum = 0;
    };
    State state() const;

private:
    mutable std::mutex mutex_;
    State state_;
};

/// All series of one name.
class Family {
public:
    enum class Type { counter, gauge, histogram };
    Family(std::string name, Type type, std::string help)
        : name_(std::move(name)), type_(type), help_(std::move(help)) {}

    /// They live as long as the family, unless they are removed.
    Value& add(LabelValues labels);
    Histogram& add(LabelValues labels, std::span<const double> limits);
    void remove(const Value& value);

    const std::string& name() const { return name_; }
    /// In Prometheus' text format, version 0.0.4: HELP, TYPE and a line for each number.
    std::string text() const;

private:
    struct Series {
        LabelValues labels;
        std::unique_ptr<Value> value;
        std::unique_ptr<Histogram> histogram;
    };
    std::string name_;
    Type type_;
    std::string help_;
    std::vector<Series> series_;
};

std::string_view name_of(Family::Type type);

}  // namespace popgate::metrics
