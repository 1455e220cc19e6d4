/* What `load` is told on its command line. */

#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct options {
    const char *speak, *work, *host, *tokens, *api_key, *app;
    uint32_t device_port, publish_port;
    uint32_t devices, first;
    double seconds, warm_seconds, drain_s, rate, unicast_rate;
    uint32_t publishers, window, batch, outstanding, payload;
    uint32_t ack_ms, behind, count, pause_ms, beat_s, connect_at_once, server_pid;
    uint32_t seed;
    bool hold;
};

/* Ends the program with a sentence when something is missing or out of its bounds. */
struct options read_options(int argc, char **argv);

#endif
