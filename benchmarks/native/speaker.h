/* A protocol, as the generator needs it: what devices and publishers say and understand.
 *
 * Strategy: what is the same for every system (whom to publish to, how much at once, when to ack,
 * what counts as lost) is in fleet.c and publishers.c. A speaker only turns it into bytes on a line
 * and back, so that no system is loaded in a way of its own.
 */

#ifndef SPEAKER_H
#define SPEAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct device;
struct publisher;

#define EVERYONE UINT32_MAX

struct speaker {
    const char *name;
    /* What devices offer in the TLS handshake, or NULL. */
    const char *alpn;
    /* Devices begin in the clear; the speaker begins TLS when it is time (NATS). */
    bool plain_first;
    /* One request at a time on a line: more in flight need more lines (HTTP). */
    bool one_in_flight;
    /* Publisher lines end when they are idle, and are opened again (HTTP). */
    bool lines_end;
    /* What devices need is made by publishers when they connect (JetStream's stream). */
    bool publishers_first;
    /* Everyone can be published to. */
    bool broadcasts;
    /* An oplog for a device that is away is kept for it. */
    bool keeps;
    /* Devices ack what they got. */
    bool acks;

    /* The line of a device is open: say who it is. Later: device_ready(). */
    void (*greet)(struct device *device);
    /* Understand what came: device_received(). Returns how much is used up. */
    size_t (*take)(struct device *device, const uint8_t *data, size_t size);
    /* Ack all that was received; then device_acked(). */
    void (*ack)(struct device *device);
    /* Say that the device is alive. */
    void (*beat)(struct device *device);

    /* The line of a publisher is open. Later: publisher_ready(). */
    void (*publisher_greet)(struct publisher *publisher);
    /* One batch: begin, add each oplog, end. What is written goes out afterwards. */
    void (*begin)(struct publisher *publisher, uint32_t oplogs);
    void (*add)(struct publisher *publisher, uint32_t number, const uint8_t *payload);
    void (*end)(struct publisher *publisher);
    /* Understand answers: publisher_answered(). Returns how much is used up. */
    size_t (*answers)(struct publisher *publisher, const uint8_t *data, size_t size);
};

extern const struct speaker speak_mobilesync, speak_floor, speak_mqtt, speak_nats,
    speak_jetstream, speak_redis;

#endif
