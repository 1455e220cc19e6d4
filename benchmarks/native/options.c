/* The command line as a table: one row for each option, with its bounds. */

#include "options.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "trouble.h"

enum kind { TEXT, WHOLE, REAL, SWITCH };

struct row {
    const char *name;
    enum kind kind;
    size_t place;
    double least, most;
};

#define ROW(name, kind, field, least, most)                                                       \
    {                                                                                             \
        name, kind, offsetof(struct options, field), least, most                                  \
    }

static const struct row rows[] = {
    ROW("--speak", TEXT, speak, 0, 0),
    ROW("--work", TEXT, work, 0, 0),
    ROW("--host", TEXT, host, 0, 0),
    ROW("--tokens", TEXT, tokens, 0, 0),
    ROW("--api-key", TEXT, api_key, 0, 0),
    ROW("--app", TEXT, app, 0, 0),
    ROW("--device-port", WHOLE, device_port, 1, 65535),
    ROW("--publish-port", WHOLE, publish_port, 1, 65535),
    ROW("--devices", WHOLE, devices, 1, 1e6),
    ROW("--first", WHOLE, first, 0, 1e9),
    ROW("--seconds", REAL, seconds, 0, 1e6),
    ROW("--warm-seconds", REAL, warm_seconds, 0, 1e6),
    ROW("--drain-s", REAL, drain_s, 0, 3600),
    ROW("--rate", REAL, rate, 0, 1e7),
    ROW("--unicast-rate", REAL, unicast_rate, 0, 1e7),
    ROW("--publishers", WHOLE, publishers, 1, 1024),
    ROW("--window", WHOLE, window, 1, 16),
    ROW("--batch", WHOLE, batch, 1, 1000),
    ROW("--outstanding", WHOLE, outstanding, 1, 1e7),
    /* The time and the running number, and a whole number of base64's groups around them. */
    ROW("--payload", WHOLE, payload, 18, 60000),
    ROW("--ack-ms", WHOLE, ack_ms, 0, 60000),
    ROW("--behind", WHOLE, behind, 0, 100000),
    ROW("--count", WHOLE, count, 1, 1e6),
    ROW("--pause-ms", WHOLE, pause_ms, 0, 1e6),
    ROW("--beat-s", WHOLE, beat_s, 1, 3600),
    ROW("--connect-at-once", WHOLE, connect_at_once, 1, 100000),
    ROW("--server-pid", WHOLE, server_pid, 0, 1e9),
    ROW("--seed", WHOLE, seed, 0, 4e9),
    ROW("--hold", SWITCH, hold, 0, 0),
};

static const struct row *row_of(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    trouble("there is no option %s", name);
}

static void set(struct options *options, const struct row *row, const char *text)
{
    char *place = (char *)options + row->place, *end;
    if (row->kind == TEXT) {
        *(const char **)place = text;
        return;
    }
    double value = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || value < row->least || value > row->most)
        trouble("%s takes a number from %g to %g, not %s", row->name, row->least, row->most, text);
    if (row->kind == WHOLE)
        *(uint32_t *)place = (uint32_t)value;
    else
        *(double *)place = value;
}

struct options read_options(int argc, char **argv)
{
    struct options options = {
        .host = "127.0.0.1", .devices = 1000, .seconds = 8, .warm_seconds = 2, .drain_s = 60,
        .publishers = 4, .window = 2, .batch = 100, .outstanding = 5000, .payload = 200,
        .ack_ms = 100, .behind = 20, .count = 10, .pause_ms = 1500, .connect_at_once = 64,
        .seed = 1,
    };
    for (int i = 1; i < argc; i++) {
        const struct row *row = row_of(argv[i]);
        if (row->kind == SWITCH)
            *(bool *)((char *)&options + row->place) = true;
        else if (i + 1 < argc)
            set(&options, row, argv[++i]);
        else
            trouble("%s needs a value", argv[i]);
    }
    if (options.speak == NULL || options.work == NULL)
        trouble("--speak and --work are needed");
    if (options.device_port == 0 && strcmp(options.work, "publish") != 0)
        trouble("--device-port is needed");
    return options;
}
