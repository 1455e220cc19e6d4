/* Publishers: a few lines, each with a bounded number of batches in flight.
 *
 * Strategy: a feed says what may be published now; whatever line is free takes the next batch.
 * Where the answers are slow nothing is thrown away: in an open loop the oplogs stay due, and their
 * latency counts from then.
 */

#ifndef PUBLISHERS_H
#define PUBLISHERS_H

#include "fleet.h"

#define WINDOW_MAX 16

enum feeding {
    FEED_NOTHING,
    FEED_FAST, /* as fast as it gets through, with a bound on what is on its way */
    FEED_RATE, /* so many each second, whatever the answers do */
    FEED_EACH, /* so many to each device, one device after the other */
};

struct feed {
    enum feeding feeding;
    double rate;
    uint64_t begun_ns;
    uint64_t limit; /* FEED_RATE and FEED_EACH: so many in all */
    uint64_t chosen;
    bool unwatched; /* nobody receives: no bound on what is on its way */
};

/* A batch that waits for its answer. */
struct flight {
    uint64_t sent_ns;
    uint32_t oplogs, answered;
};

struct publisher {
    struct line line; /* first */
    struct publishers *pool;
    uint32_t index;
    bool ready;
    uint64_t resume_ns; /* the server has asked to wait */
    struct flight flights[WINDOW_MAX];
    uint32_t first_flight, flying;
    uint32_t ends; /* in a row, without an answer between */
    uint32_t adding; /* the speaker's: oplogs of the batch so far */
    uint16_t packet;
    struct bytes body, request;
};

struct publishers {
    const struct options *options;
    const struct speaker *speaker;
    struct fleet *fleet;
    struct publisher *each;
    uint32_t count, window, next, ready;
    struct feed feed;
    uint64_t random;
    /* For each device, for each line: how many were sent. For everyone, one count. */
    uint32_t *sent;
    uint32_t sent_everyone;
    uint8_t *payload;

    /* Since publishers_forget_figures(). */
    uint64_t published, answered, answered_batches, refused, reopened;
    struct latency answer_latency;
};

/* How many lines there will be. */
uint32_t publisher_lines(const struct options *options, const struct speaker *speaker);
void publishers_begin(struct publishers *pool, const struct options *options,
                      const struct speaker *speaker, struct fleet *fleet);
/* Begin to open the lines that are not open; done when pool->ready says so. */
void publishers_open(struct publishers *pool);
void publishers_feed(struct publishers *pool, struct feed feed);
/* Publish what the feed has, as far as lines are free. */
void publishers_turn(struct publishers *pool, uint64_t now);
uint64_t publishers_next_due_ns(const struct publishers *pool);
/* One oplog for everyone, on the first free line; false when none is. */
bool publish_to_everyone(struct publishers *pool);
uint32_t publishers_in_flight(const struct publishers *pool);
void publishers_forget_figures(struct publishers *pool);

/* Speakers call these. */
void publisher_ready(struct publisher *publisher);
/* `oplogs` more of the oldest batches are answered. */
void publisher_answered(struct publisher *publisher, uint32_t oplogs);
uint32_t publisher_awaits(const struct publisher *publisher);
/* Send the request again, not before `wait_ns` have passed. */
void publisher_refused(struct publisher *publisher, uint64_t wait_ns);

#endif
