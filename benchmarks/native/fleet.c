/* The devices; the strategy is told in fleet.h. */

#include "fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chance.h"
#include "trouble.h"

#define LINE_BYTES_MAX 9000
#define OWN_TIME_MS 500
#define OWN_TIME_MS_MAX 120000
#define NEVER UINT64_MAX

static const struct line_owner device_line;

static void *many(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (memory == NULL)
        trouble("no memory for %zu devices", count);
    return memory;
}

static void read_tokens(struct fleet *fleet, const char *path)
{
    char text[LINE_BYTES_MAX];
    FILE *file = fopen(path, "r");
    if (file == NULL)
        trouble("cannot read the tokens in %s", path);
    fleet->tokens = many(fleet->count, sizeof *fleet->tokens);
    for (uint32_t i = 0; i < fleet->count; i++) {
        if (fgets(text, sizeof text, file) == NULL)
            trouble("%s has only %u tokens for %u devices", path, i, fleet->count);
        text[strcspn(text, "\r\n")] = '\0';
        fleet->tokens[i] = strdup(text);
    }
    fclose(file);
}

void fleet_begin(struct fleet *fleet, const struct options *options,
                 const struct speaker *speaker, uint32_t publisher_lines)
{
    fleet->options = options;
    fleet->speaker = speaker;
    fleet->random = UINT64_C(0xd1b54a32d192ed03) ^ options->seed;
    fleet->tls = client_tls(speaker->alpn);
    fleet->count = options->devices;
    fleet->slots = publisher_lines + 1;
    fleet->next = fleet->count;
    fleet->run = (uint16_t)(now_ns() / MILLISECOND_NS);
    fleet->devices = many(fleet->count, sizeof *fleet->devices);
    uint32_t *heard = many((size_t)fleet->count * fleet->slots, sizeof *heard);
    for (uint32_t i = 0; i < fleet->count; i++) {
        struct device *device = &fleet->devices[i];
        device->fleet = fleet;
        device->number = options->first + i;
        device->line.watched.fd = -1;
        device->heard = heard + (size_t)i * fleet->slots;
    }
    if (options->tokens != NULL)
        read_tokens(fleet, options->tokens);
}

const char *token_of(const struct device *device)
{
    const struct fleet *fleet = device->fleet;
    return fleet->tokens != NULL ? fleet->tokens[device - fleet->devices] : "none";
}

/* Connecting */

void fleet_connect(struct fleet *fleet, uint32_t at_once)
{
    fleet->next = 0;
    fleet->at_once = at_once;
    fleet->leaving = false;
}

static void connect_device(struct device *device)
{
    struct fleet *fleet = device->fleet;
    SSL_CTX *tls = fleet->speaker->plain_first ? NULL : fleet->tls;
    device->phase = CONNECTING;
    device->retry_due_ns = 0;
    fleet->connecting++;
    line_connect(&device->line, &device_line, fleet->options->host,
                 (uint16_t)fleet->options->device_port, tls);
}

static void connect_again(struct fleet *fleet, uint64_t now)
{
    for (uint32_t i = 0; i < fleet->count && fleet->waiting > 0; i++) {
        struct device *device = &fleet->devices[i];
        if (device->retry_due_ns != 0 && device->retry_due_ns <= now) {
            fleet->waiting--;
            connect_device(device);
        }
    }
}

static void leave_rows(struct device *device)
{
    device->phase = AWAY;
    device->unacked = 0;
    device->ack_asked = false;
    bytes_free(&device->acks);
}

void fleet_disconnect(struct fleet *fleet)
{
    fleet->leaving = true;
    fleet->acks = fleet->beats = (struct row){0};
    fleet->ready = fleet->connecting = fleet->unacked_devices = 0;
    for (uint32_t i = 0; i < fleet->count; i++) {
        struct device *device = &fleet->devices[i];
        leave_rows(device);
        device->ack_next = device->beat_next = NULL;
        device->in_beats = false;
        line_close(&device->line);
    }
}

void device_ready(struct device *device)
{
    struct fleet *fleet = device->fleet;
    if (device->phase != CONNECTING)
        return;
    device->phase = READY;
    device->ends = 0;
    fleet->connecting--;
    fleet->ready++;
    if (fleet->options->beat_s == 0 || device->in_beats)
        return;
    /* A little before it must, and spread: connecting has taken a while already. */
    if (device->beat_s == 0)
        device->beat_s = fleet->options->beat_s;
    device->beat_due_ns = now_ns() + device->beat_s * (SECOND_NS * 9 / 10);
    device->beat_next = NULL;
    device->in_beats = true;
    if (fleet->beats.last != NULL)
        fleet->beats.last->beat_next = device;
    else
        fleet->beats.first = device;
    fleet->beats.last = device;
}

/* What spec §8.2 asks of a client, and what clients of the others do as well. */
static uint64_t own_time_ms(struct device *device)
{
    uint32_t most_ms = OWN_TIME_MS_MAX;
    if (++device->ends < 8)
        most_ms = OWN_TIME_MS << device->ends;
    return draw_below(&device->fleet->random, most_ms);
}

void device_dismissed(struct device *device, const char *why, uint64_t retry_ms)
{
    struct fleet *fleet = device->fleet;
    line_close(&device->line);
    if (fleet->leaving)
        return;
    if (!fleet->retries)
        trouble("device %u: %s (%u of %u were connected)", device->number, why, fleet->ready,
                fleet->count);
    if (device->phase == READY)
        fleet->ready--;
    else
        fleet->connecting--;
    if (device->unacked > 0)
        trouble("device %u: %s, in the middle of what it received", device->number, why);
    leave_rows(device);
    uint64_t own_ms = own_time_ms(device);
    if (own_ms > retry_ms)
        retry_ms = own_ms;
    device->retry_due_ns = now_ns() + retry_ms * MILLISECOND_NS;
    fleet->waiting++;
    fleet->retried++;
}

static void device_opened(struct line *line)
{
    struct device *device = (struct device *)line;
    if (line->ssl == NULL && !device->fleet->speaker->plain_first)
        trouble("device %u has a line without TLS", device->number);
    if (line->ssl != NULL) {
        device->fleet->speaker->greet(device);
        line_flush(line);
    }
}

static size_t device_arrived(struct line *line, const uint8_t *data, size_t size)
{
    struct device *device = (struct device *)line;
    size_t used = device->fleet->speaker->take(device, data, size);
    line_flush(line);
    return used;
}

static void device_ended(struct line *line, const char *why)
{
    device_dismissed((struct device *)line, why, 0);
}

static const struct line_owner device_line = {device_opened, device_arrived, device_ended};

/* Receiving */

static void wait_for_ack(struct device *device, uint64_t now)
{
    struct fleet *fleet = device->fleet;
    device->ack_due_ns = now + fleet->options->ack_ms * MILLISECOND_NS;
    device->ack_next = NULL;
    if (fleet->acks.last != NULL)
        fleet->acks.last->ack_next = device;
    else
        fleet->acks.first = device;
    fleet->acks.last = device;
    fleet->unacked_devices++;
}

/* False when the device has had this oplog before. */
static bool is_new(struct device *device, uint64_t running)
{
    struct fleet *fleet = device->fleet;
    uint64_t slot = running >> NUMBER_LINE_SHIFT;
    uint32_t number = (uint32_t)running, expected = device->heard[slot] + 1;
    if (number == expected) {
        device->heard[slot] = number;
        return true;
    }
    if (number > expected) {
        fleet->out_of_order++;
        device->missing += number - expected;
        device->heard[slot] = number;
        return true;
    }
    if (device->missing > 0) {
        device->missing--; /* late */
        return true;
    }
    fleet->repeated++;
    return false;
}

void device_received(struct device *device, const uint8_t *payload, size_t size)
{
    struct fleet *fleet = device->fleet;
    uint64_t stamps[2], now = now_ns();
    if (size < sizeof stamps)
        trouble("device %u received a payload of %zu bytes", device->number, size);
    memcpy(stamps, payload, sizeof stamps);
    if (fleet->speaker->acks && device->unacked++ == 0)
        wait_for_ack(device, now);
    if ((uint16_t)(stamps[1] >> NUMBER_RUN_SHIFT) != fleet->run ||
        stamps[1] >> NUMBER_LINE_SHIFT >= fleet->slots) {
        fleet->foreign++;
        return;
    }
    if (!is_new(device, stamps[1]))
        return;
    if (stamps[1] >> NUMBER_LINE_SHIFT == fleet->slots - 1) {
        fleet->everyone_delivered++;
        fleet->last_everyone_ns = now;
        latency_add(&fleet->everyone_latency, now - stamps[0]);
    } else {
        fleet->delivered++;
        fleet->last_delivered_ns = now;
        latency_add(&fleet->latency, now - stamps[0]);
    }
}

void device_acked(struct device *device)
{
    struct fleet *fleet = device->fleet;
    fleet->acked += device->unacked;
    fleet->ack_writes++;
    fleet->unacked_devices--;
    device->unacked = 0;
    device->ack_asked = false;
}

/* What is due */

static void ack_due(struct fleet *fleet, uint64_t now)
{
    struct device *device;
    while ((device = fleet->acks.first) != NULL && device->ack_due_ns <= now) {
        fleet->acks.first = device->ack_next;
        if (fleet->acks.first == NULL)
            fleet->acks.last = NULL;
        /* Some servers push before they have answered the greeting. */
        if (device->phase == AWAY || device->unacked == 0)
            continue;
        device->ack_asked = true;
        fleet->speaker->ack(device);
        line_flush(&device->line);
    }
}

static void beat_due(struct fleet *fleet, uint64_t now)
{
    struct device *device;
    while ((device = fleet->beats.first) != NULL && device->beat_due_ns <= now) {
        fleet->beats.first = device->beat_next;
        if (fleet->beats.first == NULL)
            fleet->beats.last = NULL;
        device->beat_next = NULL;
        if (device->phase == READY) {
            fleet->speaker->beat(device);
            line_flush(&device->line);
        }
        device->beat_due_ns += device->beat_s * (SECOND_NS * 9 / 10);
        if (fleet->beats.last != NULL)
            fleet->beats.last->beat_next = device;
        else
            fleet->beats.first = device;
        fleet->beats.last = device;
    }
}

void fleet_turn(struct fleet *fleet, uint64_t now)
{
    while (fleet->next < fleet->count && fleet->connecting < fleet->at_once)
        connect_device(&fleet->devices[fleet->next++]);
    if (fleet->waiting > 0)
        connect_again(fleet, now);
    ack_due(fleet, now);
    beat_due(fleet, now);
}

uint64_t fleet_next_due_ns(const struct fleet *fleet)
{
    uint64_t due = fleet->waiting > 0 ? now_ns() + 10 * MILLISECOND_NS : NEVER;
    if (fleet->acks.first != NULL && fleet->acks.first->ack_due_ns < due)
        due = fleet->acks.first->ack_due_ns;
    if (fleet->beats.first != NULL && fleet->beats.first->beat_due_ns < due)
        due = fleet->beats.first->beat_due_ns;
    return due;
}

void fleet_forget_figures(struct fleet *fleet)
{
    fleet->delivered = fleet->everyone_delivered = fleet->acked = fleet->ack_writes = 0;
    memset(&fleet->latency, 0, sizeof fleet->latency);
    memset(&fleet->everyone_latency, 0, sizeof fleet->everyone_latency);
}

uint64_t fleet_missing(const struct fleet *fleet)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < fleet->count; i++)
        sum += fleet->devices[i].missing;
    return sum;
}
