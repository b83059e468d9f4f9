#pragma once

#include <cstdio>
#include <cstdlib>

/// Like assert(), in every kind of build: a crash is what libFuzzer looks for.
#define FUZZ_CHECK(condition)                                                            \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            std::abort();                                                                \
        }                                                                                \
    } while (false)
