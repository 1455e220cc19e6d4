/* Devices that are connected together, what they received, and when they ack it.
 *
 * Strategy: acks fall due in the order in which they began to wait, since all wait equally long; so
 * they stand in one row, and a look at its head says whether there is something to do. So do beats.
 *
 * Each oplog carries when it fell due (8 bytes, nanoseconds) and its running number (8 bytes): the
 * publisher's line in the upper 16 bits, then 16 bits that tell this run from others, and in the
 * lower 32 bits how many the line has sent to the device. A line keeps its order, so a device can
 * tell from the numbers what is missing, late or repeated.
 */

#ifndef FLEET_H
#define FLEET_H

#include "latency.h"
#include "line.h"
#include "options.h"
#include "speaker.h"

#define NUMBER_LINE_SHIFT 48
#define NUMBER_RUN_SHIFT 32

enum phase { AWAY, CONNECTING, READY };

/* How far a device is in one channel of the native protocol. */
struct point {
    uint64_t received, acked;
};

struct row {
    struct device *first, *last;
};

struct device {
    struct line line; /* first */
    struct fleet *fleet;
    uint32_t number;
    enum phase phase;

    uint32_t unacked;
    bool ack_asked; /* due, but the protocol cannot say it now (Redis) */
    uint64_t ack_due_ns, beat_due_ns, retry_due_ns;
    struct device *ack_next, *beat_next;
    bool in_beats;

    /* For each publisher line, and last for everyone: the running number heard last. */
    uint32_t *heard;
    uint32_t missing;
    uint32_t ends; /* in a row, without a session between */

    struct point own, everyone;
    uint64_t epoch;
    uint32_t beat_s;
    /* What the speaker collects for the next ack. */
    struct bytes acks;
};

struct fleet {
    const struct options *options;
    const struct speaker *speaker;
    SSL_CTX *tls;
    struct device *devices;
    uint32_t count, slots;
    char **tokens;
    uint16_t run;

    /* Connecting. */
    uint32_t next, connecting, ready, at_once, waiting;
    bool retries; /* whom the server sends away comes again: in a storm */
    bool leaving;
    uint64_t retried, random;

    struct row acks, beats;
    uint32_t unacked_devices;

    /* Received since fleet_forget_figures(). */
    uint64_t delivered, everyone_delivered, acked, ack_writes;
    uint64_t out_of_order, repeated;
    uint64_t foreign; /* left over from other runs: acked, and otherwise ignored */
    uint64_t last_delivered_ns, last_everyone_ns;
    struct latency latency, everyone_latency;
};

void fleet_begin(struct fleet *fleet, const struct options *options,
                 const struct speaker *speaker, uint32_t publisher_lines);
/* Begin to connect all, `at_once` handshakes at a time; done when fleet->ready says so. */
void fleet_connect(struct fleet *fleet, uint32_t at_once);
void fleet_disconnect(struct fleet *fleet);
/* Connect, ack and beat what is due. */
void fleet_turn(struct fleet *fleet, uint64_t now);
uint64_t fleet_next_due_ns(const struct fleet *fleet);
void fleet_forget_figures(struct fleet *fleet);
uint64_t fleet_missing(const struct fleet *fleet);

/* Speakers call these. */
void device_ready(struct device *device);
void device_received(struct device *device, const uint8_t *payload, size_t size);
void device_acked(struct device *device);
/* The server has ended it: `why`, and how long it advises to stay away. */
void device_dismissed(struct device *device, const char *why, uint64_t retry_ms);
const char *token_of(const struct device *device);

#endif
