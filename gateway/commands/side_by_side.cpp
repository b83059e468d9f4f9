#include "gateway/commands/side_by_side.hpp"

#include <algorithm>
#include <exception>
#include <stdexcept>
#include <string>

namespace popgate::commands {

void side_by_side(Fiber& fiber, const std::vector<std::function<void(Fiber&)>>& tasks) {
    std::vector<Fiber*> running(tasks.size(), nullptr);
    std::size_t left = tasks.size();
    std::string failure;
    bool interrupted = fiber.interrupted();
    const auto end_one = [&](std::size_t index) {
        running[index] = nullptr;
        if (--left == 0) fiber.wake();
    };
    for (std::size_t i = 0; i < tasks.size(); ++i)
        Fiber::start(
            fiber.context(),
            [&, i](Fiber& own) {
                running[i] = &own;
                if (interrupted) own.interrupt();
                tasks[i](own);
                end_one(i);
            },
            [&, i](const std::exception& error) {
                failure = error.what();
                end_one(i);
            });
    while (left > 0) {
        fiber.sleep_until(Deadline::max());
        if (!fiber.interrupted()) continue;
        interrupted = true;
        for (auto* each : running)
            if (each) each->interrupt();
        fiber.resume_waits();  // for their end, which comes soon
    }
    if (interrupted) fiber.interrupt();
    if (!failure.empty()) throw std::runtime_error(failure);
}

}  // namespace popgate::commands
