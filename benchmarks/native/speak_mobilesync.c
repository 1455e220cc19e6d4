/* Devices of the native protocol (spec/), for Mobilesync and for the floor.
 *
 * Strategy: a device knows its two channels, its user's and everyone's, by heart. Pushes are read
 * in place; their ids are checked as a device must (they continue where the last one ended). The
 * next ack names whichever channel has moved.
 */

#include <stdio.h>
#include <string.h>

#include "msgpack.h"
#include "native.h"
#include "trouble.h"

#define FRAME_BYTES_MAX 4194304
#define REASON_CHARS_MAX 256

enum type { HELLO = 1, WELCOME, PUSH, ACK, RESET, NOTICE, PING = 10, PONG, CLOSE };

static bool is_known(const struct point *point)
{
    return point->received > 0;
}

static void write_point(struct bytes *out, struct device *device, const struct point *point,
                        const char *biz, const char *target)
{
    write_array(out, 5);
    write_str(out, biz);
    write_str(out, target);
    write_int(out, device->epoch);
    write_int(out, point->received);
    write_int(out, point->received);
}

static void greet(struct device *device)
{
    struct bytes *out = &device->line.out;
    char name[32], user[32], target[40];
    snprintf(name, sizeof name, "d%u", device->number);
    snprintf(user, sizeof user, "u%u", device->number);
    snprintf(target, sizeof target, "user:u%u", device->number);
    size_t begun = begin_frame(out);
    write_array(out, 12);
    write_int(out, HELLO);
    write_int(out, 1);
    write_int(out, 1);
    write_str(out, token_of(device));
    write_str(out, name);
    write_str(out, user);
    write_array(out, (uint32_t)is_known(&device->own) + (uint32_t)is_known(&device->everyone));
    if (is_known(&device->own))
        write_point(out, device, &device->own, "BENCH", target);
    if (is_known(&device->everyone))
        write_point(out, device, &device->everyone, "BENCH-ALL", "everyone");
    write_str(out, "");      /* os */
    write_str(out, "");      /* app_version */
    write_str(out, "bench"); /* sdk */
    write_true(out);         /* foreground */
    write_int(out, device->fleet->options->beat_s);
    end_frame(out, begun);
}

static void welcomed(struct device *device, struct reading *reading)
{
    read_int(reading); /* version */
    device->epoch = read_int(reading);
    skip_values(reading, 3); /* session, user, server_time_ms */
    uint64_t beat_min_s = read_int(reading), beat_max_s = read_int(reading);
    uint32_t beat_s = device->fleet->options->beat_s;
    if (reading->bad)
        trouble("device %u: a Welcome that cannot be read", device->number);
    if (beat_s < beat_min_s)
        beat_s = (uint32_t)beat_min_s;
    device->beat_s = beat_s > beat_max_s ? (uint32_t)beat_max_s : beat_s;
    device_ready(device);
}

static void pushed(struct device *device, struct reading *reading)
{
    skip_values(reading, 1); /* biz */
    struct text target = read_text(reading);
    bool to_everyone = target.size > 0 && target.data[0] == 'e';
    struct point *point = to_everyone ? &device->everyone : &device->own;
    uint64_t after = read_int(reading), upto = read_int(reading), last = after;
    uint32_t count = read_array(reading);
    if (after != point->received)
        device->fleet->out_of_order++;
    for (uint32_t i = 0; i < count && !reading->bad; i++) {
        uint32_t fields = read_array(reading);
        uint64_t id = read_int(reading);
        skip_values(reading, 1); /* published_at_ms */
        struct text payload = read_text(reading);
        if (fields > 3)
            skip_values(reading, fields - 3);
        if (reading->bad)
            break;
        if (id <= last)
            device->fleet->out_of_order++;
        last = id;
        device_received(device, payload.data, payload.size);
    }
    if (reading->bad || last > upto)
        trouble("device %u: a Push that cannot be read", device->number);
    point->received = upto;
}

static void closed(struct device *device, struct reading *reading, uint32_t fields)
{
    char why[REASON_CHARS_MAX + 64];
    uint64_t code = read_int(reading), retry_ms = 0, spread_ms = 0;
    struct text reason = {0};
    if (fields > 1)
        reason = read_text(reading);
    if (fields > 2)
        retry_ms = read_int(reading);
    if (fields > 3)
        spread_ms = read_int(reading);
    snprintf(why, sizeof why, "Close %lu %.*s", (unsigned long)code,
             (int)(reason.size < REASON_CHARS_MAX ? reason.size : REASON_CHARS_MAX),
             reason.size > 0 ? (const char *)reason.data : "");
    if (spread_ms > 0) /* spread as devices are: by their numbers, which are all different */
        retry_ms += device->number * UINT64_C(2654435761) % spread_ms;
    device_dismissed(device, why, retry_ms);
}

static void understand(struct device *device, const uint8_t *body, size_t size)
{
    struct reading reading = {body, body + size, false};
    uint32_t fields = read_array(&reading);
    uint64_t type = read_int(&reading);
    if (reading.bad || fields == 0)
        trouble("device %u: a frame that is no message", device->number);
    switch (type) {
    case PUSH:
        pushed(device, &reading);
        break;
    case WELCOME:
        welcomed(device, &reading);
        break;
    case CLOSE:
        closed(device, &reading, fields - 1);
        break;
    case RESET:
        trouble("device %u: a Reset, in a run that gives no reason for one", device->number);
    default: /* Notice, Pong, and what is optional */
        break;
    }
}

static size_t take(struct device *device, const uint8_t *data, size_t size)
{
    size_t used = 0;
    while (size - used >= 4) {
        uint32_t body = get_u32(data + used);
        if (body == 0 || body > FRAME_BYTES_MAX)
            trouble("device %u: a frame of %u bytes", device->number, body);
        if (size - used < 4 + (size_t)body)
            break;
        understand(device, data + used + 4, body);
        used += 4 + (size_t)body;
        if (device->line.state == LINE_CLOSED)
            break;
    }
    return used;
}

static void write_acked(struct bytes *out, struct point *point, const char *biz,
                        const char *target)
{
    write_array(out, 4);
    write_str(out, biz);
    write_str(out, target);
    write_int(out, point->received);
    write_int(out, point->received);
    point->acked = point->received;
}

static void ack(struct device *device)
{
    struct bytes *out = &device->line.out;
    bool own = device->own.received > device->own.acked;
    bool everyone = device->everyone.received > device->everyone.acked;
    char target[40];
    snprintf(target, sizeof target, "user:u%u", device->number);
    size_t begun = begin_frame(out);
    write_array(out, 2);
    write_int(out, ACK);
    write_array(out, (uint32_t)own + (uint32_t)everyone);
    if (own)
        write_acked(out, &device->own, "BENCH", target);
    if (everyone)
        write_acked(out, &device->everyone, "BENCH-ALL", "everyone");
    end_frame(out, begun);
    device_acked(device);
}

static void beat(struct device *device)
{
    size_t begun = begin_frame(&device->line.out);
    write_array(&device->line.out, 2);
    write_int(&device->line.out, PING);
    write_int(&device->line.out, device->beat_s);
    end_frame(&device->line.out, begun);
}

#define NATIVE_DEVICES                                                                            \
    .alpn = "mobilesync/1", .broadcasts = true, .keeps = true, .acks = true, .greet = greet,      \
    .take = take, .ack = ack, .beat = beat

const struct speaker speak_mobilesync = {
    .name = "mobilesync",
    NATIVE_DEVICES,
    .one_in_flight = true,
    .lines_end = true,
    .publisher_greet = http_greet,
    .begin = http_begin,
    .add = http_add,
    .end = http_end,
    .answers = http_answers,
};

const struct speaker speak_floor = {
    .name = "floor",
    NATIVE_DEVICES,
    .publisher_greet = floor_greet,
    .begin = floor_begin,
    .add = floor_add,
    .end = floor_end,
    .answers = floor_answers,
};
