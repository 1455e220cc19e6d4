/* The one loop that everything runs in, and the works in which each oplog has one device.
 *
 * Strategy: a work is written as what happens, one step after the other; each step is the same loop
 * with another end. What is measured begins with everything at rest and ends when everything that
 * was published in it has been received and acked, so that no cost is left out or taken over. The
 * rate and the shares count until the last oplog was received; the cost for each oplog also holds
 * the acks after it.
 */

#include "works.h"

#include <string.h>

#include "cost.h"
#include "trouble.h"

#define CONNECT_S_MAX 300
#define TURN_NS_MAX (100 * MILLISECOND_NS)
/* What a server does after the last ack has left here. */
#define SETTLE_S 0.2

struct span span_begin(void)
{
    return (struct span){now_ns(), server_cpu_s(), own_cpu_s()};
}

struct span span_until_now(struct span begun)
{
    struct span now = span_begin();
    return (struct span){now.begun_ns - begun.begun_ns, now.server_s - begun.server_s,
                         now.own_s - begun.own_s};
}

bool run_until(struct load *load, bool (*done)(struct load *load), uint64_t end_ns)
{
    for (;;) {
        uint64_t now = now_ns(), due = now + TURN_NS_MAX, next;
        fleet_turn(&load->fleet, now);
        publishers_turn(&load->pool, now);
        if (done != NULL && done(load))
            return true;
        if (now >= end_ns)
            return false;
        if (end_ns < due)
            due = end_ns;
        if ((next = fleet_next_due_ns(&load->fleet)) < due)
            due = next;
        if ((next = publishers_next_due_ns(&load->pool)) < due)
            due = next;
        now = now_ns();
        lines_wait(due > now ? due - now : 0);
    }
}

void run_through(struct load *load, bool (*done)(struct load *load), double within_s,
                 const char *what)
{
    if (!run_until(load, done, now_ns() + (uint64_t)(within_s * 1e9)))
        trouble("waited %g s for %s: %u of %u devices connected, %llu oplogs published, "
                "%llu answered, %llu and %llu received",
                within_s, what, load->fleet.ready, load->fleet.count,
                (unsigned long long)load->pool.published, (unsigned long long)load->pool.answered,
                (unsigned long long)load->fleet.delivered,
                (unsigned long long)load->fleet.everyone_delivered);
}

void run_for(struct load *load, double seconds)
{
    run_until(load, NULL, now_ns() + (uint64_t)(seconds * 1e9));
}

bool all_ready(struct load *load)
{
    return load->fleet.ready == load->fleet.count;
}

static bool publishers_ready(struct load *load)
{
    return load->pool.ready == load->pool.count;
}

/* Everything that the feed will give is out, and answered. */
bool all_published(struct load *load)
{
    const struct feed *feed = &load->pool.feed;
    bool more = feed->feeding != FEED_NOTHING && feed->chosen < feed->limit;
    return !more && publishers_in_flight(&load->pool) == 0;
}

bool all_delivered(struct load *load)
{
    uint64_t sent = load->pool.published;
    return load->fleet.delivered >= sent && publishers_in_flight(&load->pool) == 0;
}

bool all_acked(struct load *load)
{
    return load->fleet.unacked_devices == 0;
}

void connect_publishers(struct load *load)
{
    publishers_open(&load->pool);
    run_through(load, publishers_ready, 30, "the publishers");
}

double connect_all(struct load *load)
{
    uint64_t begun = now_ns();
    fleet_connect(&load->fleet, load->options.connect_at_once);
    run_through(load, all_ready, CONNECT_S_MAX, "the devices");
    return (double)(now_ns() - begun) / 1e9;
}

/* When patience with what is on its way ends. */
static uint64_t drained_ns(const struct load *load)
{
    return now_ns() + (uint64_t)(load->options.drain_s * 1e9);
}

void drain(struct load *load)
{
    publishers_feed(&load->pool, (struct feed){0});
    run_until(load, all_delivered, drained_ns(load));
    run_until(load, all_acked, drained_ns(load));
}

void forget_figures(struct load *load)
{
    fleet_forget_figures(&load->fleet);
    publishers_forget_figures(&load->pool);
}

static void feed_unicast(struct load *load, double seconds)
{
    double rate = load->options.rate;
    struct feed feed = {
        .feeding = rate > 0 ? FEED_RATE : FEED_FAST,
        .rate = rate,
        .limit = rate > 0 ? (uint64_t)(rate * seconds) : UINT64_MAX,
    };
    publishers_feed(&load->pool, feed);
    /* In an open loop what has fallen due goes out, however long it takes. */
    if (rate > 0)
        run_until(load, all_published, drained_ns(load) + (uint64_t)(seconds * 1e9));
    else
        run_for(load, seconds);
}

void work_unicast(struct load *load)
{
    struct fleet *fleet = &load->fleet;
    if (load->speaker->publishers_first)
        connect_publishers(load);
    double connect_s = connect_all(load);
    connect_publishers(load);
    feed_unicast(load, load->options.warm_seconds);
    drain(load);
    forget_figures(load);

    struct span begun = span_begin();
    feed_unicast(load, load->options.seconds);
    publishers_feed(&load->pool, (struct feed){0});
    run_until(load, all_delivered, drained_ns(load));
    struct span delivered = span_until_now(begun);
    drain(load);
    run_for(load, SETTLE_S);
    struct span acked = span_until_now(begun);

    double seconds = (double)(fleet->last_delivered_ns - begun.begun_ns) / 1e9;
    report_begin(load);
    report_number("connect_s", connect_s);
    report_whole("published", load->pool.published);
    report_whole("delivered", fleet->delivered);
    report_number("seconds", seconds);
    report_number("delivered_per_s", (double)fleet->delivered / seconds);
    report_number("server_cpu_us_per_oplog", acked.server_s * 1e6 / (double)fleet->delivered);
    report_number("server_cpu_share", delivered.server_s / span_s(delivered));
    report_number("load_cpu_share", delivered.own_s / span_s(delivered));
    report_latency("", &fleet->latency);
    report_latency("answer_", &load->pool.answer_latency);
    report_order(load, load->pool.published - fleet->delivered);
    report_end();
}

void work_publish(struct load *load)
{
    struct feed feed = {.feeding = FEED_FAST, .limit = UINT64_MAX, .unwatched = true};
    connect_publishers(load);
    publishers_feed(&load->pool, feed);
    run_for(load, load->options.warm_seconds);
    forget_figures(load);
    struct span begun = span_begin();
    run_for(load, load->options.seconds);
    struct span passed = span_until_now(begun);
    /* What is answered counts; what is in flight at the end stands for what was at the begin. */
    double answered = (double)load->pool.answered;
    report_begin(load);
    report_whole("published", load->pool.answered);
    report_number("seconds", span_s(passed));
    report_number("published_per_s", answered / span_s(passed));
    report_number("server_cpu_us_per_oplog", passed.server_s * 1e6 / answered);
    report_number("server_cpu_share", passed.server_s / span_s(passed));
    report_number("load_cpu_share", passed.own_s / span_s(passed));
    report_latency("", &load->pool.answer_latency);
    report_whole("refused", load->pool.refused);
    report_whole("reopened", load->pool.reopened);
    report_end();
    publishers_feed(&load->pool, (struct feed){0});
    run_through(load, all_published, load->options.drain_s, "the last answers");
}
