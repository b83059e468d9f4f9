#pragma once

#include <cstddef>

#ifdef POPGATE_SANITIZED
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

#include <exception>
#include <vector>
#endif

namespace popgate {

/// Tells AddressSanitizer which stack is in use: when an exception unwinds a stack it wipes its marks from there, and
/// what it leaves behind on a fiber's it would later take for faults. Does nothing in other builds.
class StackSwitch {
public:
    enum class Way { onto_fiber, off_fiber };

#ifdef POPGATE_SANITIZED
    /// Lives while the fiber with this stack runs, or while it is suspended.
    StackSwitch(char* stack, std::size_t size, Way way) : stack_(stack), size_(size), way_(way) {
        if (way == Way::onto_fiber)
            go_on();
        else
            go_back();
    }
    ~StackSwitch() {
        if (way_ == Way::onto_fiber) {
            go_back();
            return;
        }
        // What was thrown by the suspension itself came before the next line, and left its marks below.
        if (std::uncaught_exceptions() > 0)
            ASAN_UNPOISON_MEMORY_REGION(
                stack_, static_cast<std::size_t>(static_cast<char*>(__builtin_frame_address(0)) - stack_));
        go_on();
    }
    StackSwitch(const StackSwitch&) = delete;
    StackSwitch& operator=(const StackSwitch&) = delete;

private:
    struct Stack {
        const void* end = nullptr;
        std::size_t size = 0;
    };
    /// Where this thread came from, switch by switch: its own stack, or that of a fiber that has started another one.
    static std::vector<Stack>& came_from() {
        thread_local std::vector<Stack> stacks;
        return stacks;
    }
    void go_on() {
        Stack old;
        run_on(stack_, size_, &old.end, &old.size);
        came_from().push_back(old);
    }
    static void go_back() {
        const auto back = came_from().back();
        came_from().pop_back();
        run_on(back.end, back.size, nullptr, nullptr);
    }
    static void run_on(const void* stack, std::size_t size, const void** old_stack, std::size_t* old_size) {
        void* fake = nullptr;
        __sanitizer_start_switch_fiber(&fake, stack, size);
        __sanitizer_finish_switch_fiber(fake, old_stack, old_size);
    }

    char* stack_;
    std::size_t size_;
    Way way_;
#else
    StackSwitch(char*, std::size_t, Way) {}
#endif
};

/// Before a stack's memory goes back to the system: AddressSanitizer's marks stay with the addresses, and whoever maps
/// them next (SQLite its log's index) would seem to write where nobody may.
inline void forget_stack([[maybe_unused]] char* stack, [[maybe_unused]] std::size_t size) {
#ifdef POPGATE_SANITIZED
    ASAN_UNPOISON_MEMORY_REGION(stack, size);
#endif
}

}  // namespace popgate
