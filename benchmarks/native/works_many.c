/* The works in which all devices do the same at once: everyone's oplogs, a storm, idling. */

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cost.h"
#include "trouble.h"
#include "works.h"

#define EACH_S_MAX 120    /* until everyone has one oplog */
#define FILL_S_MAX 900    /* until all that the storm will bring is published */
#define STORM_S_MAX 300   /* until all have come back and caught up */
#define NOTICE_S 1.0      /* until the server has noticed who went, or settled otherwise */
#define CONNECTED_S 2.0   /* until the memory of idle connections is looked at */

/* Broadcast */

static bool everyone_delivered(struct load *load)
{
    uint64_t wanted = (uint64_t)load->pool.sent_everyone * load->fleet.count;
    return load->fleet.everyone_delivered >= wanted;
}

static bool everyone_acked(struct load *load)
{
    return publishers_in_flight(&load->pool) == 0 &&
           (!load->speaker->acks || all_acked(load));
}

static bool sent_to_everyone(struct load *load)
{
    return publish_to_everyone(&load->pool);
}

/* One oplog for everyone, until the last device has it; how long that took, in milliseconds. */
static double broadcast_one(struct load *load, struct span *sum)
{
    struct span begun = span_begin();
    run_through(load, sent_to_everyone, EACH_S_MAX, "a free publisher");
    run_through(load, everyone_delivered, EACH_S_MAX, "everyone to receive an oplog");
    double took_ms = (double)(load->fleet.last_everyone_ns - begun.begun_ns) / 1e6;
    /* With other oplogs on the way somebody always has something to ack. */
    if (load->options.unicast_rate > 0)
        run_for(load, load->options.ack_ms * 2e-3);
    else
        run_through(load, everyone_acked, EACH_S_MAX, "everyone to ack an oplog");
    struct span passed = span_until_now(begun);
    sum->begun_ns += passed.begun_ns;
    sum->server_s += passed.server_s;
    sum->own_s += passed.own_s;
    return took_ms;
}

static int by_size(const void *one, const void *other)
{
    double difference = *(const double *)one - *(const double *)other;
    return (difference > 0) - (difference < 0);
}

static void report_broadcast(struct load *load, double connect_s, double *took_ms,
                             struct span sum)
{
    uint32_t count = load->options.count;
    uint64_t wanted = (uint64_t)count * load->fleet.count;
    qsort(took_ms, count, sizeof *took_ms, by_size);
    report_begin(load);
    report_number("connect_s", connect_s);
    report_whole("published", count);
    report_whole("delivered", load->fleet.everyone_delivered);
    report_number("seconds", span_s(sum));
    report_number("last_device_ms", took_ms[count / 2]);
    report_number("last_device_ms_most", took_ms[count - 1]);
    report_number("cpu_us_per_device", sum.server_s * 1e6 / (double)wanted);
    report_number("server_cpu_share", sum.server_s / span_s(sum));
    report_number("load_cpu_share", sum.own_s / span_s(sum));
    report_latency("", &load->fleet.everyone_latency);
    if (load->options.unicast_rate > 0) {
        report_whole("unicast_delivered", load->fleet.delivered);
        report_latency("unicast_", &load->fleet.latency);
    }
    report_order(load, wanted - load->fleet.everyone_delivered + load->pool.published -
                           load->fleet.delivered);
    report_end();
}

void work_broadcast(struct load *load)
{
    struct span sum = {0};
    double *took_ms = calloc(load->options.count, sizeof *took_ms);
    if (took_ms == NULL || !load->speaker->broadcasts)
        trouble("%s has no way to everyone here", load->speaker->name);
    double connect_s = connect_all(load);
    connect_publishers(load);
    run_for(load, NOTICE_S);
    /* The first one pays for what is made once. */
    struct span unused = {0};
    broadcast_one(load, &unused);
    run_through(load, everyone_acked, EACH_S_MAX, "everyone to ack the first oplog");
    fleet_forget_figures(&load->fleet);
    load->fleet.everyone_delivered = load->fleet.count; /* as are counted in sent_everyone */
    if (load->options.unicast_rate > 0)
        publishers_feed(&load->pool, (struct feed){.feeding = FEED_RATE,
                                                   .rate = load->options.unicast_rate,
                                                   .limit = UINT64_MAX});
    for (uint32_t i = 0; i < load->options.count; i++) {
        run_for(load, load->options.pause_ms / 1e3);
        took_ms[i] = broadcast_one(load, &sum);
    }
    drain(load);
    load->fleet.everyone_delivered -= load->fleet.count;
    report_broadcast(load, connect_s, took_ms, sum);
    free(took_ms);
}

/* Storm */

static bool caught_up(struct load *load)
{
    return all_ready(load) && all_delivered(load) && all_acked(load);
}

static void publish_to_each(struct load *load, uint32_t each)
{
    uint64_t limit = (uint64_t)each * load->fleet.count;
    publishers_feed(&load->pool, (struct feed){.feeding = FEED_EACH, .limit = limit});
    run_through(load, all_published, FILL_S_MAX, "oplogs for each device");
}

void work_storm(struct load *load)
{
    struct fleet *fleet = &load->fleet;
    if (!load->speaker->keeps && load->options.behind > 0)
        trouble("%s keeps nothing for devices that are away", load->speaker->name);
    if (load->speaker->publishers_first)
        connect_publishers(load);
    double connect_s = connect_all(load);
    connect_publishers(load);
    /* One oplog each: a device that comes back is no new one, and says how far it is. */
    publish_to_each(load, 1);
    drain(load);
    run_for(load, NOTICE_S);
    fleet_disconnect(fleet);
    forget_figures(load);
    run_for(load, NOTICE_S);
    publish_to_each(load, load->options.behind);
    publishers_feed(&load->pool, (struct feed){0});
    run_for(load, NOTICE_S);

    fleet->retries = true;
    struct span begun = span_begin();
    fleet_connect(fleet, fleet->count);
    run_until(load, caught_up, now_ns() + STORM_S_MAX * SECOND_NS);
    struct span passed = span_until_now(begun);
    report_begin(load);
    report_number("connect_s", connect_s);
    report_whole("published", load->pool.published);
    report_whole("delivered", fleet->delivered);
    report_number("seconds", span_s(passed));
    report_number("caught_up_s", span_s(passed));
    report_number("cpu_us_per_device", passed.server_s * 1e6 / fleet->count);
    report_number("server_cpu_share", passed.server_s / span_s(passed));
    report_number("load_cpu_share", passed.own_s / span_s(passed));
    report_whole("retried", fleet->retried);
    report_whole("away", fleet->count - fleet->ready);
    report_order(load, load->pool.published - fleet->delivered);
    report_end();
}

/* Idle */

static bool stdin_closed;

static void stdin_ready(struct watched *watched, uint32_t events)
{
    char text[256];
    (void)events;
    if (read(watched->fd, text, sizeof text) <= 0) {
        stdin_closed = true;
        unwatch(watched);
    }
}

static bool told_to_end(struct load *load)
{
    (void)load;
    return stdin_closed;
}

/* Whoever gives us a pipe ends the work by closing it; a file or /dev/null says nothing. */
static void watch_stdin(void)
{
    static struct watched input = {stdin_ready, STDIN_FILENO};
    struct stat status;
    if (fstat(STDIN_FILENO, &status) == 0 &&
        (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) || isatty(STDIN_FILENO)))
        watch(&input);
}

void work_idle(struct load *load)
{
    double before_kb = server_rss_kb();
    if (load->speaker->publishers_first)
        connect_publishers(load);
    double connect_s = connect_all(load);
    run_for(load, CONNECTED_S);
    double after_kb = server_rss_kb();
    double each_kb = (after_kb - before_kb) / load->fleet.count;
    printf("{\"connected\": %u, \"connect_s\": %.6g, \"server_rss_kb_before\": %.0f, "
           "\"server_rss_kb_after\": %.0f, \"kb_per_connection\": %.6g}\n",
           load->fleet.ready, connect_s, before_kb, after_kb, each_kb);
    fflush(stdout);
    struct span begun = span_begin();
    if (load->options.hold) {
        watch_stdin();
        run_until(load, told_to_end, now_ns() + (uint64_t)(load->options.seconds * 1e9));
    }
    struct span passed = span_until_now(begun);
    report_begin(load);
    report_number("connect_s", connect_s);
    report_number("seconds", span_s(passed));
    report_number("server_rss_kb_before", before_kb);
    report_number("server_rss_kb_after", after_kb);
    report_number("kb_per_connection", each_kb);
    report_number("cpu_s_per_minute", passed.server_s * 60 / span_s(passed));
    report_number("server_cpu_share", passed.server_s / span_s(passed));
    report_number("load_cpu_share", passed.own_s / span_s(passed));
    report_end();
}
