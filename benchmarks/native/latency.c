/* A histogram of durations; the strategy is told in latency.h. */

#include "latency.h"

#define FINE_BITS 6

void latency_add(struct latency *latency, uint64_t took_ns)
{
    uint64_t bucket = took_ns;
    if (took_ns >= 1 << FINE_BITS) {
        unsigned magnitude = 63 - (unsigned)__builtin_clzll(took_ns);
        unsigned shift = magnitude - FINE_BITS;
        bucket = ((uint64_t)(shift + 1) << FINE_BITS) + ((took_ns >> shift) & 63);
    }
    latency->buckets[bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1]++;
    latency->count++;
}

/* The middle of what a bucket holds. */
static double middle_ns(uint64_t bucket)
{
    if (bucket < 1 << FINE_BITS)
        return (double)bucket;
    unsigned shift = (unsigned)(bucket >> FINE_BITS) - 1;
    uint64_t lowest = ((bucket & 63) | 64) << shift;
    return (double)lowest + (double)(UINT64_C(1) << shift) / 2;
}

double latency_quantile_us(const struct latency *latency, double part)
{
    uint64_t below = 0, wanted = (uint64_t)((double)latency->count * part);
    for (uint64_t bucket = 0; bucket < LATENCY_BUCKETS; bucket++) {
        below += latency->buckets[bucket];
        if (below > wanted)
            return middle_ns(bucket) / 1000;
    }
    return 0;
}
