/* The works: what is done with a fleet and its publishers, and what is reported of it. */

#ifndef WORKS_H
#define WORKS_H

#include "publishers.h"

struct load {
    struct options options;
    const struct speaker *speaker;
    struct fleet fleet;
    struct publishers pool;
};

/* From a moment on: what has passed, and what it has cost. */
struct span {
    uint64_t begun_ns;
    double server_s, own_s;
};

struct span span_begin(void);
struct span span_until_now(struct span begun);
static inline double span_s(struct span passed)
{
    return (double)passed.begun_ns / 1e9;
}

/* Go on until `done` (NULL: never) says so or it is `end_ns`; whether it was done. */
bool run_until(struct load *load, bool (*done)(struct load *load), uint64_t end_ns);
/* The same, but it must be done in time; otherwise the program ends, saying what it waited for. */
void run_through(struct load *load, bool (*done)(struct load *load), double within_s,
                 const char *what);
void run_for(struct load *load, double seconds);

bool all_ready(struct load *load);
bool all_published(struct load *load);
bool all_delivered(struct load *load);
bool all_acked(struct load *load);

/* Connect everybody; how many seconds it took. */
double connect_all(struct load *load);
void connect_publishers(struct load *load);
/* Wait until everything that is published has been received and acked, as far as it ever will. */
void drain(struct load *load);
/* What was counted so far is not of the measured part. */
void forget_figures(struct load *load);

void work_unicast(struct load *load);
void work_publish(struct load *load);
void work_broadcast(struct load *load);
void work_storm(struct load *load);
void work_idle(struct load *load);

/* One JSON object, a field at a time; report_end() prints it as a line. */
void report_begin(const struct load *load);
void report_number(const char *name, double value);
void report_whole(const char *name, uint64_t value);
void report_latency(const char *prefix, const struct latency *latency);
void report_order(const struct load *load, uint64_t lost);
void report_end(void);

#endif
