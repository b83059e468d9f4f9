#include "backends/http/read_ahead.hpp"

#include "gateway/observe/log.hpp"
#include "gateway/observe/metrics.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <new>
#include <string>
#include <utility>

namespace popgate::http {

using namespace std::chrono_literals;

namespace {

constexpr unsigned most_readers = 8;                // of one session at once, whatever the upstream would bear
constexpr std::size_t ahead_of_client = 64 * 1024;  // octets of a message that is being given while it comes
constexpr int longest_reading = 3;                  // command timeouts, for a message that nobody has asked for
constexpr auto forever = 24h;                       // wake() ends it

// After a failure so many messages are fetched in the ordinary way before the next is read ahead; twice as many each
// time. A server in trouble, or one that counts in another way than the limiter, is not asked everything twice.
constexpr unsigned first_rest = 8;
constexpr unsigned most_doublings = 6;

}  // namespace

/// One that is expected, or that was until the fetch that has just begun.
struct ReadAhead::Message {
    enum class Stage { waiting, running, ready, failed };
    explicit Message(MessageInfo message) : info(std::move(message)) {}

    std::uint64_t held() const {
        if (stage == Stage::running) return std::max<std::uint64_t>(info.octets, text.size());
        return text.size();
    }
    void count(metrics::ReadAhead outcome) {
        if (!std::exchange(is_counted, true)) metrics::read_ahead.add(outcome);
    }

    MessageInfo info;
    Stage stage = Stage::waiting;
    bool is_expected = true;
    bool is_dropped = false;
    bool is_taken = false;  // fetch() gives it to its sink
    bool is_counted = false;
    bool reader_sleeps = false;
    std::string text;
    std::optional<Error> error;
    Fiber* reader = nullptr;  // while it runs
};

struct ReadAhead::State : std::enable_shared_from_this<State> {
    State(boost::asio::io_context& where, const Upstream& upstream, Prepare how)
        : context(where), budget(upstream.read_ahead), timeout(upstream.command_timeout), prepare(std::move(how)) {}

    std::uint64_t held() const {
        std::uint64_t sum = 0;
        for (const auto& each : messages) sum += each->held();
        return sum;
    }

    /// The one to be read next; null where there is none, or no room for it.
    std::shared_ptr<Message> next() const {
        if (is_over || rest > 0) return nullptr;
        const auto taken = held();
        for (const auto& each : messages) {
            if (each->stage != Message::Stage::waiting || !each->is_expected || each->info.octets > budget) continue;
            return taken + each->info.octets <= budget ? each : nullptr;
        }
        return nullptr;
    }

    /// One more fiber, if there is anything to do. Each starts the next one when it has got its room.
    void start_reader() {
        if (readers == most_readers || !next()) return;
        ++readers;
        // Not from within the caller's fiber.
        boost::asio::post(context, [self = shared_from_this()] {
            const auto failed = [](const std::exception& error) {
                log(LogLevel::error, "read_ahead_failed", {{"error", error.what()}});
            };
            try {
                Fiber::start(
                    self->context, [self](Fiber& fiber) { self->run(fiber); }, failed);
            } catch (const std::exception& error) {  // no memory for a stack
                --self->readers;
                failed(error);
            }
        });
    }

    void run(Fiber& fiber);

    void drop(Message& message) {
        message.is_dropped = true;
        if (message.stage == Message::Stage::running || message.stage == Message::Stage::ready)
            message.count(metrics::ReadAhead::dropped);
        std::string().swap(message.text);
        if (message.reader) message.reader->interrupt();
    }

    template <class Which>
    void drop_if(Which which) {
        std::erase_if(messages, [&](const auto& each) {
            if (!which(*each)) return false;
            drop(*each);
            return true;
        });
    }

    void end() {
        is_over = true;
        drop_if([](const Message&) { return true; });
    }

    void wake_taker(const Message& message) {
        if (message.is_taken && taker) taker->wake();
    }

    boost::asio::io_context& context;
    const std::uint64_t budget;
    const std::chrono::milliseconds timeout;
    const Prepare prepare;
    std::vector<std::shared_ptr<Message>> messages;
    Fiber* taker = nullptr;  // the session's, while it sleeps
    unsigned readers = 0;
    unsigned rest = 0;  // fetches in the ordinary way until something is read ahead again
    unsigned failures = 0;
    bool is_over = false;
};

/// Takes what comes. Beyond the budget it takes nothing more, unless the client is being given the message already.
class ReadAhead::Collector final : public BodySink {
public:
    Collector(State& state, Message& message, Fiber& fiber) : state_(state), message_(message), fiber_(fiber) {}

    bool write(std::string_view octets) noexcept override try {
        if (fiber_.interrupted() || message_.is_dropped) return false;
        auto& text = message_.text;
        if (!message_.is_taken) {
            const auto others = state_.held() - message_.held();
            has_given_up_ = others + text.size() + octets.size() > state_.budget || Clock::now() > latest_;
            if (has_given_up_) return false;
            if (text.empty()) text.reserve(std::max<std::size_t>(octets.size(), message_.info.octets));
        }
        text += octets;
        state_.wake_taker(message_);
        while (message_.is_taken && text.size() > ahead_of_client && !fiber_.interrupted()) {
            message_.reader_sleeps = true;
            fiber_.sleep_until(Clock::now() + forever);
            message_.reader_sleeps = false;
        }
        return !fiber_.interrupted();
    } catch (const std::bad_alloc&) {
        has_given_up_ = true;
        return false;
    }

    bool has_given_up() const { return has_given_up_; }

private:
    State& state_;
    Message& message_;
    Fiber& fiber_;
    Deadline latest_ = Clock::now() + longest_reading * state_.timeout;
    bool has_given_up_ = false;
};

/// A message while a fiber reads it, whatever ends that.
class ReadAhead::Reading {
public:
    Reading(State& state, std::shared_ptr<Message> message, Fiber& fiber)
        : state_(state), message_(std::move(message)) {
        message_->stage = Message::Stage::running;
        message_->reader = &fiber;
    }
    ~Reading() {
        message_->reader = nullptr;
        if (message_->stage == Message::Stage::running) fail({});
        state_.wake_taker(*message_);
    }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;

    void succeed() {
        message_->stage = Message::Stage::ready;
        // It may have grown well beyond what was listed.
        if (message_->text.capacity() / 2 > message_->text.size()) message_->text.shrink_to_fit();
    }

    void fail(Error error) {
        message_->stage = Message::Stage::failed;
        message_->error = std::move(error);
        message_->count(metrics::ReadAhead::dropped);
        std::string().swap(message_->text);
    }

private:
    State& state_;
    std::shared_ptr<Message> message_;
};

void ReadAhead::State::run(Fiber& fiber) {
    struct Counted {
        unsigned& readers;
        ~Counted() { --readers; }
    };
    {
        const Counted counted{readers};
        while (const auto message = next()) {
            const auto read = prepare(fiber, message->info);
            if (!read) return;
            Reading reading(*this, message, fiber);
            start_reader();
            Collector collector(*this, *message, fiber);
            const auto status = read(collector);
            if (status) {
                reading.succeed();
            } else {
                const bool is_trouble =
                    !message->is_dropped && !collector.has_given_up() && status.error().code != Errc::gone;
                if (is_trouble && rest == 0) rest = first_rest << std::min(failures++, most_doublings);
                reading.fail(status.error());
            }
            if (fiber.interrupted()) break;
        }
    }
    start_reader();  // in the place of one that was interrupted
}

ReadAhead::ReadAhead(Fiber& fiber, const Upstream& upstream, Prepare prepare)
    : fiber_(fiber), state_(std::make_shared<State>(fiber.context(), upstream, std::move(prepare))) {}

ReadAhead::~ReadAhead() { state_->end(); }

void ReadAhead::expect(const std::vector<const MessageInfo*>& next) {
    auto& messages = state_->messages;
    if (state_->budget == 0) return;
    if (next.empty()) {
        // Behind the last message of all nothing is expected, either, and it is about to be fetched.
        const auto is_expected = [](const auto& each) { return each->is_expected; };
        const bool may_be_last = std::ranges::count_if(messages, is_expected) == 1;
        state_->drop_if([&](const Message& each) { return !may_be_last || !each.is_expected; });
        for (const auto& each : messages) each->is_expected = false;
        return;
    }
    // One that is expected no longer may be the one that is fetched now: fetch() knows.
    state_->drop_if([](const Message& each) { return !each.is_expected; });
    for (const auto& each : messages) each->is_expected = false;
    std::vector<std::shared_ptr<Message>> expected;
    expected.reserve(messages.size() + next.size());
    for (const auto* each : next) {
        const auto known = std::ranges::find(messages, each->id, [](const auto& one) { return one->info.id; });
        expected.push_back(known != messages.end() ? *known : std::make_shared<Message>(*each));
        expected.back()->is_expected = true;
    }
    for (auto& each : messages)
        if (!each->is_expected) expected.push_back(std::move(each));
    messages = std::move(expected);
    state_->start_reader();
}

Status ReadAhead::fetch(const MessageInfo& message, BodySink& sink, const Read& ask) {
    std::shared_ptr<Message> wanted;
    for (const auto& each : state_->messages)
        if (each->info.id == message.id) wanted = each;
    state_->drop_if([&](const Message& each) { return !each.is_expected && &each != wanted.get(); });
    if (wanted) {
        wanted->is_expected = false;
        const auto given = give(*wanted, sink);
        state_->drop_if([&](const Message& each) { return &each == wanted.get(); });
        state_->start_reader();
        if (given) return *given;
    }
    auto status = ask(sink);
    if (status && state_->rest > 0) --state_->rest;
    state_->start_reader();
    return status;
}

/// Nothing where it has to be asked for after all: the sink has been given nothing then.
std::optional<Status> ReadAhead::give(Message& message, BodySink& sink) {
    struct Asleep {
        Fiber*& taker;
        ~Asleep() { taker = nullptr; }
    };
    message.is_taken = true;
    bool has_begun = false;
    for (auto heard = Clock::now();;) {
        if (message.stage == Message::Stage::waiting) return std::nullopt;
        if (message.stage == Message::Stage::failed)
            return has_begun ? std::optional<Status>(*message.error) : std::nullopt;
        if (!message.text.empty() || message.stage == Message::Stage::ready) {
            const bool is_last = message.stage == Message::Stage::ready;
            // A reader goes on meanwhile.
            auto piece = is_last ? std::string() : std::exchange(message.text, {});
            const auto& octets = is_last ? message.text : piece;
            has_begun = true;
            if (message.reader && message.reader_sleeps) message.reader->wake();
            const bool wants_more = octets.empty() || sink.write(octets);
            if (is_last || !wants_more) {
                message.count(metrics::ReadAhead::used);
                if (fiber_.trace()) fiber_.trace()->hear("upstream", "< a message that was read ahead");
                return wants_more ? Status() : Status(Error{Errc::sink_closed, "no more is wanted", {}});
            }
            heard = Clock::now();
            continue;
        }
        // The request has a timeout of its own, but what is asked for anew must not come too late for the client.
        const auto until = heard + (has_begun ? forever : Clock::duration(state_->timeout) / 2);
        if (fiber_.interrupted() || Clock::now() >= std::min(until, fiber_.limit())) {
            if (!has_begun) return std::nullopt;
            return Error{Errc::temporary, "the mail server does not answer as it should", "the time is over"};
        }
        const Asleep asleep{state_->taker = &fiber_};
        fiber_.sleep_until(until);
    }
}

}  // namespace popgate::http
