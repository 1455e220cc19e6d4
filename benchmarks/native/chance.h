/* Random numbers: quick, even enough, and the same for the same seed. */

#ifndef CHANCE_H
#define CHANCE_H

#include <stdint.h>

/* `state` is not 0 (xorshift). */
static inline uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static inline uint32_t draw_below(uint64_t *state, uint32_t bound)
{
    return (uint32_t)((draw(state) >> 32) * bound >> 32);
}

#endif
