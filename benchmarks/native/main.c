/* The load generator: many devices and a few publishers of one system, in one thread.
 *
 * Strategy: main.c chooses; options.c says what there is to choose from. A speaker (speaker.h)
 * turns a protocol into bytes, a work (works.h) says what happens; every speaker goes with every
 * work that its system can do. line.c is all that touches a socket.
 */

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "cost.h"
#include "trouble.h"
#include "works.h"

#define DESCRIPTORS_SPARE 64

static const struct speaker *const speakers[] = {
    &speak_mobilesync, &speak_floor,     &speak_mqtt,
    &speak_nats,       &speak_jetstream, &speak_redis,
};

static const struct work {
    const char *name;
    void (*run)(struct load *load);
} works[] = {
    {"unicast", work_unicast},
    {"publish", work_publish},
    {"broadcast", work_broadcast},
    {"storm", work_storm},
    {"idle", work_idle},
};

static const struct speaker *speaker_named(const char *name)
{
    for (size_t i = 0; i < sizeof speakers / sizeof *speakers; i++)
        if (strcmp(speakers[i]->name, name) == 0)
            return speakers[i];
    trouble("--speak %s: no such protocol", name);
}

static const struct work *work_named(const char *name)
{
    for (size_t i = 0; i < sizeof works / sizeof *works; i++)
        if (strcmp(works[i].name, name) == 0)
            return &works[i];
    trouble("--work %s: no such work", name);
}

static void raise_descriptors(uint32_t wanted)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < wanted)
        trouble("%u connections need more than the %llu descriptors that we may open", wanted,
                (unsigned long long)limit.rlim_cur);
}

int main(int argc, char **argv)
{
    static struct load load; /* too large for the stack */
    load.options = read_options(argc, argv);
    load.speaker = speaker_named(load.options.speak);
    const struct work *work = work_named(load.options.work);
    if (work->run == work_publish)
        load.options.window = 1; /* one request in flight on each line, whatever the protocol */
    uint32_t publishers = publisher_lines(&load.options, load.speaker);
    if (load.speaker == &speak_mobilesync && (!load.options.api_key || !load.options.app))
        trouble("mobilesync needs --api-key and --app");
    if (load.options.beat_s == 0)
        load.options.beat_s = strcmp(work->name, "idle") == 0 ? 60 : 300;
    /* Who only publishes names devices, and connects none. */
    uint32_t devices = strcmp(work->name, "publish") == 0 ? 0 : load.options.devices;
    raise_descriptors(devices + publishers + DESCRIPTORS_SPARE);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1UL); /* an open loop shall fall due when it says */
    cost_of_server((pid_t)load.options.server_pid);
    lines_begin();
    fleet_begin(&load.fleet, &load.options, load.speaker, publishers);
    publishers_begin(&load.pool, &load.options, load.speaker, &load.fleet);
    work->run(&load);
    return 0;
}
