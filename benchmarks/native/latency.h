/* How long things took, as a histogram whose buckets grow with what they hold.
 *
 * Strategy: 64 buckets for each power of two of nanoseconds, so that a quantile is right within
 * 1.6 %, however many values there are and however long the longest took.
 */

#ifndef LATENCY_H
#define LATENCY_H

#include <stdint.h>

#define LATENCY_BUCKETS (64 * 60)

struct latency {
    uint64_t count;
    uint64_t buckets[LATENCY_BUCKETS];
};

void latency_add(struct latency *latency, uint64_t took_ns);
/* Microseconds; 0 when nothing was added. */
double latency_quantile_us(const struct latency *latency, double part);

#endif
