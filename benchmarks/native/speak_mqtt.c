/* MQTT 3.1.1 with QoS 1: one filter for each device and one for everyone, sessions that persist.
 *
 * Strategy: a device collects the PUBACK of each oplog as the bytes that it will be, and all of
 * them leave in one write. A publisher's batch is so many PUBLISH packets in one write, each of
 * which is answered by its own PUBACK.
 */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "publishers.h"
#include "trouble.h"

#define CONNECT 0x10
#define CONNACK 0x20
#define PUBLISH 0x30
#define PUBACK 0x40
#define SUBSCRIBE 0x82
#define SUBACK 0x90
#define PINGREQ 0xc0
#define QOS_1 0x02
#define CLEAN_SESSION 0x02
#define KEEPALIVE_S_MAX 65535
#define SUBSCRIBE_REFUSED 0x80

static void write_head(struct bytes *out, uint8_t type, uint32_t size)
{
    *bytes_extend(out, 1) = type;
    do {
        uint8_t part = size & 0x7f;
        size >>= 7;
        *bytes_extend(out, 1) = size > 0 ? part | 0x80 : part;
    } while (size > 0);
}

static void write_text(struct bytes *out, const char *text)
{
    size_t size = strlen(text);
    put_u16(bytes_extend(out, 2), (uint16_t)size);
    bytes_add(out, text, size);
}

static void write_connect(struct bytes *out, const char *name, uint8_t flags, uint32_t keepalive_s)
{
    write_head(out, CONNECT, 12 + (uint32_t)strlen(name));
    write_text(out, "MQTT");
    uint8_t *at = bytes_extend(out, 4);
    at[0] = 4; /* the level: 3.1.1 */
    at[1] = flags;
    put_u16(at + 2, (uint16_t)(keepalive_s < KEEPALIVE_S_MAX ? keepalive_s : KEEPALIVE_S_MAX));
    write_text(out, name);
}

/* A whole packet: what it is, and where its content is. */
struct packet {
    uint8_t type; /* with its flags */
    const uint8_t *data;
    size_t size;
};

/* The size of the packet at the beginning; 0 when it is not all there. */
static size_t read_packet(const uint8_t *data, size_t size, struct packet *packet)
{
    uint32_t content = 0;
    for (size_t at = 1; at < size && at < 5; at++) {
        content |= (uint32_t)(data[at] & 0x7f) << 7 * (at - 1);
        if (data[at] & 0x80)
            continue;
        if (size - at - 1 < content)
            return 0;
        *packet = (struct packet){data[0], data + at + 1, content};
        return at + 1 + content;
    }
    return 0;
}

static void greet(struct device *device)
{
    char name[32];
    snprintf(name, sizeof name, "d%u", device->number);
    device->beat_s = device->fleet->options->beat_s;
    write_connect(&device->line.out, name, 0, device->beat_s);
}

static void connected(struct device *device, const struct packet *packet)
{
    char filter[32];
    struct bytes *out = &device->line.out;
    if (packet->size < 2 || packet->data[1] != 0)
        trouble("device %u: CONNACK says %u", device->number,
                packet->size < 2 ? 0 : packet->data[1]);
    if (packet->data[0] & 1) { /* the session is there, and with it what it subscribed to */
        device_ready(device);
        return;
    }
    snprintf(filter, sizeof filter, "u/%u", device->number);
    write_head(out, SUBSCRIBE, 2 + 2 + (uint32_t)strlen(filter) + 1 + 2 + 3 + 1);
    put_u16(bytes_extend(out, 2), 1);
    write_text(out, filter);
    *bytes_extend(out, 1) = 1;
    write_text(out, "all");
    *bytes_extend(out, 1) = 1;
}

static void published(struct device *device, const struct packet *packet)
{
    size_t name = packet->size >= 2 ? get_u16(packet->data) : 0;
    if ((packet->type & 0x06) != QOS_1 || packet->size < 2 + name + 2)
        trouble("device %u: a PUBLISH without QoS 1", device->number);
    uint8_t *at = bytes_extend(&device->acks, 4);
    at[0] = PUBACK;
    at[1] = 2;
    memcpy(at + 2, packet->data + 2 + name, 2);
    device_received(device, packet->data + name + 4, packet->size - name - 4);
}

static size_t take(struct device *device, const uint8_t *data, size_t size)
{
    struct packet packet;
    size_t used = 0, one;
    while ((one = read_packet(data + used, size - used, &packet)) > 0) {
        used += one;
        switch (packet.type & 0xf0) {
        case PUBLISH:
            published(device, &packet);
            break;
        case CONNACK:
            connected(device, &packet);
            break;
        case SUBACK:
            for (size_t i = 2; i < packet.size; i++)
                if (packet.data[i] & SUBSCRIBE_REFUSED)
                    trouble("device %u: its subscription is refused", device->number);
            device_ready(device);
            break;
        default: /* PINGRESP */
            break;
        }
    }
    return used;
}

static void ack(struct device *device)
{
    bytes_add(&device->line.out, bytes_first(&device->acks), bytes_size(&device->acks));
    bytes_clear(&device->acks);
    device_acked(device);
}

static void beat(struct device *device)
{
    write_head(&device->line.out, PINGREQ, 0);
}

static void publisher_greet(struct publisher *publisher)
{
    char name[32];
    snprintf(name, sizeof name, "p%u-%d", publisher->index, (int)getpid());
    write_connect(&publisher->line.out, name, CLEAN_SESSION, 0);
}

static void begin(struct publisher *publisher, uint32_t oplogs)
{
    (void)publisher, (void)oplogs;
}

static void add(struct publisher *publisher, uint32_t number, const uint8_t *payload)
{
    char name[32] = "all";
    uint32_t size = publisher->pool->options->payload;
    struct bytes *out = &publisher->line.out;
    if (number != EVERYONE)
        snprintf(name, sizeof name, "u/%u", number);
    write_head(out, PUBLISH | QOS_1, 2 + (uint32_t)strlen(name) + 2 + size);
    write_text(out, name);
    if (++publisher->packet == 0) /* 0 is no packet's */
        publisher->packet = 1;
    put_u16(bytes_extend(out, 2), publisher->packet);
    bytes_add(out, payload, size);
}

static void end(struct publisher *publisher)
{
    (void)publisher;
}

static size_t answers(struct publisher *publisher, const uint8_t *data, size_t size)
{
    struct packet packet;
    size_t used = 0, one;
    uint32_t answered = 0;
    while ((one = read_packet(data + used, size - used, &packet)) > 0) {
        used += one;
        if (packet.type == PUBACK)
            answered++;
        else if (packet.type == CONNACK && packet.size == 2 && packet.data[1] == 0)
            publisher_ready(publisher);
        else
            trouble("publisher %u: a packet of type %#x", publisher->index, packet.type);
    }
    publisher_answered(publisher, answered);
    return used;
}

const struct speaker speak_mqtt = {
    .name = "mqtt",
    .broadcasts = true,
    .keeps = true,
    .acks = true,
    .greet = greet,
    .take = take,
    .ack = ack,
    .beat = beat,
    .publisher_greet = publisher_greet,
    .begin = begin,
    .add = add,
    .end = end,
    .answers = answers,
};
