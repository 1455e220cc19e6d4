/* The last line of stdout: one JSON object, put together field by field. */

#include <math.h>
#include <stdio.h>

#include "works.h"

static struct bytes text;

void report_begin(const struct load *load)
{
    bytes_print(&text, "{\"speak\": \"%s\", \"work\": \"%s\", \"devices\": %u",
                load->speaker->name, load->options.work, load->options.devices);
}

void report_number(const char *name, double value)
{
    bytes_print(&text, ", \"%s\": %.6g", name, isfinite(value) ? value : 0.0);
}

void report_whole(const char *name, uint64_t value)
{
    bytes_print(&text, ", \"%s\": %llu", name, (unsigned long long)value);
}

void report_latency(const char *prefix, const struct latency *latency)
{
    static const struct {
        const char *name;
        double part;
    } quantiles[] = {{"p50_us", 0.5}, {"p99_us", 0.99}, {"p999_us", 0.999}};
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s%s", prefix, quantiles[i].name);
        report_number(name, latency_quantile_us(latency, quantiles[i].part));
    }
}

void report_order(const struct load *load, uint64_t lost)
{
    report_whole("acks", load->fleet.acked);
    report_whole("ack_writes", load->fleet.ack_writes);
    report_whole("out_of_order", load->fleet.out_of_order);
    report_whole("repeated", load->fleet.repeated);
    report_whole("foreign", load->fleet.foreign);
    report_whole("lost", lost);
    report_whole("refused", load->pool.refused);
    report_whole("reopened", load->pool.reopened);
}

void report_end(void)
{
    bytes_add(&text, "}\n", 2);
    fwrite(bytes_first(&text), 1, bytes_size(&text), stdout);
    fflush(stdout);
    bytes_clear(&text);
}
