/* The floor's devices: Hello → Welcome, Push, Ack, Ping → Pong of the native protocol (spec/). */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "floor.h"
#include "msgpack.h"

#define FRAME_BYTES_MAX 262144
#define NUMBERS_MAX 10000000
#define EPOCH 1
#define BEAT_MIN_S 60
#define BEAT_MAX_S 540

enum type { HELLO = 1, WELCOME, PUSH, ACK, PING = 10, PONG, CLOSE };

/* A connection. */
struct session {
    struct line line; /* first */
    uint32_t number;
    bool greeted, touched;
    struct session *before, *after; /* of all that have said Hello */
    struct session *next_touched, *next_gone;
};

/* A device, whether online or not. */
struct known {
    bool seen;
    uint64_t last_id;
    struct session *session;
    struct bytes waiting; /* pushes for when it comes back */
};

static SSL_CTX *device_tls;
static struct known *devices, everyone;
static uint32_t device_room;
static struct session *all, *touched, *gone;

void devices_begin(SSL_CTX *tls)
{
    device_tls = tls;
}

static struct known *known_of(uint32_t number)
{
    if (number == EVERYONE)
        return &everyone;
    if (number >= NUMBERS_MAX)
        trouble("there is no device %u", number);
    if (number >= device_room) {
        uint32_t room = device_room ? device_room : 1024;
        while (room <= number)
            room *= 2;
        devices = realloc(devices, room * sizeof *devices);
        if (devices == NULL)
            trouble("no memory for %u devices", room);
        memset(devices + device_room, 0, (room - device_room) * sizeof *devices);
        device_room = room;
    }
    return &devices[number];
}

uint64_t next_id(uint32_t number)
{
    return ++known_of(number)->last_id;
}

static uint64_t wall_ms(void)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    return (uint64_t)at.tv_sec * 1000 + (uint64_t)at.tv_nsec / MILLISECOND_NS;
}

static void touch(struct session *session)
{
    if (session->touched)
        return;
    session->touched = true;
    session->next_touched = touched;
    touched = session;
}

static void write_push(struct bytes *out, uint32_t number, uint64_t id, const uint8_t *payload,
                       size_t size)
{
    char target[40] = "everyone";
    if (number != EVERYONE)
        snprintf(target, sizeof target, "user:u%u", number);
    size_t begun = begin_frame(out);
    write_array(out, 6);
    write_int(out, PUSH);
    write_str(out, number == EVERYONE ? "BENCH-ALL" : "BENCH");
    write_str(out, target);
    write_int(out, id - 1);
    write_int(out, id);
    write_array(out, 1);
    write_array(out, 3);
    write_int(out, id);
    write_int(out, wall_ms());
    write_bin(out, payload, size);
    end_frame(out, begun);
}

static void push_to_everyone(uint64_t id, const uint8_t *payload, size_t size)
{
    struct bytes frame = {0};
    write_push(&frame, EVERYONE, id, payload, size);
    for (struct session *session = all; session != NULL; session = session->after) {
        bytes_add(&session->line.out, bytes_first(&frame), bytes_size(&frame));
        touch(session);
    }
    bytes_free(&frame);
}

void push(uint32_t number, uint64_t id, const uint8_t *payload, size_t size)
{
    if (number == EVERYONE) {
        push_to_everyone(id, payload, size);
        return;
    }
    struct known *known = known_of(number);
    if (known->session != NULL) {
        write_push(&known->session->line.out, number, id, payload, size);
        touch(known->session);
    } else if (known->seen) {
        write_push(&known->waiting, number, id, payload, size);
    }
}

void devices_turn(void)
{
    while (touched != NULL) {
        struct session *session = touched;
        touched = session->next_touched;
        session->touched = false;
        line_flush(&session->line);
    }
    while (gone != NULL) {
        struct session *session = gone;
        gone = session->next_gone;
        free(session);
    }
}

/* It is freed after the turn: another event of the same turn may still name it. */
static void leave(struct session *session)
{
    line_close(&session->line);
    session->next_gone = gone;
    gone = session;
    if (!session->greeted)
        return;
    if (session->before != NULL)
        session->before->after = session->after;
    else
        all = session->after;
    if (session->after != NULL)
        session->after->before = session->before;
    struct known *known = known_of(session->number);
    if (known->session == session)
        known->session = NULL;
}

static bool hello(struct session *session, struct reading *reading)
{
    char user[32] = "";
    skip_values(reading, 4); /* versions, token, device */
    struct text name = read_text(reading);
    if (reading->bad || name.size < 2 || name.size >= sizeof user || session->greeted)
        return false;
    memcpy(user, name.data, name.size);
    session->number = (uint32_t)strtoul(user + 1, NULL, 10);
    struct known *known = known_of(session->number);
    if (known->session != NULL)
        leave(known->session);
    known->seen = true;
    known->session = session;
    session->greeted = true;
    session->after = all;
    if (all != NULL)
        all->before = session;
    all = session;
    struct bytes *out = &session->line.out;
    size_t begun = begin_frame(out);
    write_array(out, 8);
    write_int(out, WELCOME);
    write_int(out, 1);
    write_int(out, EPOCH);
    write_str(out, "floor");
    write_str(out, user);
    write_int(out, wall_ms());
    write_int(out, BEAT_MIN_S);
    write_int(out, BEAT_MAX_S);
    end_frame(out, begun);
    bytes_add(out, bytes_first(&known->waiting), bytes_size(&known->waiting));
    bytes_free(&known->waiting);
    return true;
}

static bool acked(struct session *session, struct reading *reading)
{
    uint32_t count = read_array(reading);
    for (uint32_t i = 0; i < count && !reading->bad; i++) {
        uint32_t fields = read_array(reading);
        skip_values(reading, 1); /* biz */
        struct text target = read_text(reading);
        uint64_t received = read_int(reading);
        if (reading->bad || fields < 4 || target.size == 0)
            return false;
        skip_values(reading, fields - 3);
        log_ack(session->number, target.data[0] == 'e', received);
    }
    return !reading->bad;
}

static bool pinged(struct session *session)
{
    size_t begun = begin_frame(&session->line.out);
    write_array(&session->line.out, 2);
    write_int(&session->line.out, PONG);
    write_int(&session->line.out, wall_ms());
    end_frame(&session->line.out, begun);
    return true;
}

/* False: the session must end. */
static bool understand(struct session *session, const uint8_t *body, size_t size)
{
    struct reading reading = {body, body + size, false};
    uint32_t fields = read_array(&reading);
    uint64_t type = read_int(&reading);
    if (reading.bad || fields == 0 || (type != HELLO && !session->greeted))
        return false;
    switch (type) {
    case HELLO:
        return hello(session, &reading);
    case ACK:
        return acked(session, &reading);
    case PING:
        return pinged(session);
    default:
        return type != CLOSE;
    }
}

static void opened(struct line *line)
{
    (void)line; /* the device speaks first */
}

static size_t arrived(struct line *line, const uint8_t *data, size_t size)
{
    struct session *session = (struct session *)line;
    size_t used = 0;
    while (size - used >= 4) {
        uint32_t body = get_u32(data + used);
        if (body == 0 || body > FRAME_BYTES_MAX) {
            leave(session);
            return used;
        }
        if (size - used < 4 + (size_t)body)
            break;
        if (!understand(session, data + used + 4, body)) {
            leave(session);
            return used;
        }
        used += 4 + (size_t)body;
    }
    line_flush(line);
    return used;
}

static void ended(struct line *line, const char *why)
{
    (void)why;
    leave((struct session *)line);
}

static const struct line_owner device_line = {opened, arrived, ended};

void device_accept(int fd)
{
    struct session *session = calloc(1, sizeof *session);
    if (session == NULL)
        trouble("no memory for another device");
    line_accept(&session->line, &device_line, fd, device_tls);
}
