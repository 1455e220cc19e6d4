/* The end of a program that cannot go on: a sentence on stderr, and exit status 1. */

#ifndef TROUBLE_H
#define TROUBLE_H

#include <stdint.h>
#include <time.h>

#define SECOND_NS UINT64_C(1000000000)
#define MILLISECOND_NS UINT64_C(1000000)

__attribute__((noreturn, format(printf, 1, 2))) void trouble(const char *format, ...);

static inline uint64_t now_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * SECOND_NS + (uint64_t)at.tv_nsec;
}

#endif
