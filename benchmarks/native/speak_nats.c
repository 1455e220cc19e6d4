/* NATS: core, which keeps nothing and acks nothing, and JetStream, which does.
 *
 * Strategy: both are the same protocol. With JetStream a device is a durable consumer whose oplogs
 * are pushed to it, and which acks the last one for all before it; a publish asks for an answer.
 * In core NATS nothing is answered, so a batch ends with a PING, whose PONG says that the server
 * has read all of it. A device's line begins in the clear: TLS comes after the server's INFO.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "publishers.h"
#include "trouble.h"

#define CONTROL_BYTES_MAX 8192
#define ACK_PENDING_MAX 1000000
#define ACK_WAIT_NS "60000000000"

#define CONNECT                                                                                   \
    "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":false,\"lang\":\"c\","             \
    "\"version\":\"1\",\"protocol\":1,\"name\":\"%c%u\"}\r\n"

/* What a device subscribes to, by the number that it gives it. */
enum subscription { OWN = 1, ANSWERS = 2, ALL = 3 };

/* Something that the server says, all of it there. */
struct said {
    const char *line;
    size_t line_size; /* without its end */
    const uint8_t *payload;
    size_t payload_size;
    char subscription;
    const char *reply;
    size_t reply_size;
};

static bool begins(const struct said *said, const char *word)
{
    size_t size = strlen(word);
    return said->line_size >= size && memcmp(said->line, word, size) == 0;
}

/* MSG subject subscription [reply] size */
static void read_message_line(struct said *said)
{
    const char *words[5], *at = said->line, *end = said->line + said->line_size;
    size_t sizes[5], count = 0;
    while (at < end && count < 5) {
        const char *space = memchr(at, ' ', (size_t)(end - at));
        words[count] = at;
        sizes[count] = (size_t)((space != NULL ? space : end) - at);
        at += sizes[count++] + 1;
    }
    if (count < 4)
        trouble("NATS says %.*s", (int)said->line_size, said->line);
    said->subscription = words[2][0];
    said->reply = count == 5 ? words[3] : NULL;
    said->reply_size = count == 5 ? sizes[3] : 0;
    said->payload_size = strtoul(words[count - 1], NULL, 10);
}

/* The size of what is said first; 0 when it is not all there. */
static size_t read_said(const uint8_t *data, size_t size, struct said *said)
{
    const uint8_t *end = memmem(data, size, "\r\n", 2);
    *said = (struct said){0};
    if (end == NULL) {
        if (size > CONTROL_BYTES_MAX)
            trouble("NATS says a line of more than %d bytes", CONTROL_BYTES_MAX);
        return 0;
    }
    said->line = (const char *)data;
    said->line_size = (size_t)(end - data);
    if (begins(said, "-ERR"))
        trouble("NATS says %.*s", (int)said->line_size, said->line);
    if (!begins(said, "MSG "))
        return said->line_size + 2;
    read_message_line(said);
    said->payload = end + 2;
    size_t whole = said->line_size + 2 + said->payload_size + 2;
    return whole <= size ? whole : 0;
}

static void check_answer(const struct said *said)
{
    if (memmem(said->payload, said->payload_size, "\"error\"", 7) != NULL)
        trouble("JetStream says %.*s", (int)said->payload_size, (const char *)said->payload);
}

/* Devices */

static void greet(struct device *device)
{
    struct bytes *out = &device->line.out;
    uint32_t number = device->number;
    device->beat_s = device->fleet->options->beat_s;
    bytes_print(out, CONNECT, 'd', number);
    bytes_print(out, "SUB bench.%u %d\r\nSUB all %d\r\nPING\r\n", number, OWN, ALL);
}

static void jetstream_greet(struct device *device)
{
    struct bytes *out = &device->line.out;
    uint32_t number = device->number;
    char request[512];
    device->beat_s = device->fleet->options->beat_s;
    int size = snprintf(request, sizeof request,
                        "{\"stream_name\":\"BENCH\",\"config\":{\"durable_name\":\"d%u\","
                        "\"deliver_subject\":\"push.d%u\",\"filter_subject\":\"bench.%u\","
                        "\"deliver_policy\":\"all\",\"ack_policy\":\"all\","
                        "\"ack_wait\":" ACK_WAIT_NS ",\"max_ack_pending\":%d,"
                        "\"replay_policy\":\"instant\"}}",
                        number, number, number, ACK_PENDING_MAX);
    bytes_print(out, CONNECT, 'd', number);
    bytes_print(out, "SUB push.d%u %d\r\nSUB answer.d%u %d\r\n", number, OWN, number, ANSWERS);
    bytes_print(out, "PUB $JS.API.CONSUMER.DURABLE.CREATE.BENCH.d%u answer.d%u %d\r\n%s\r\n",
                number, number, size, request);
}

static void received(struct device *device, const struct said *said)
{
    if (said->subscription == '0' + ANSWERS) {
        check_answer(said);
        device_ready(device);
        return;
    }
    if (said->reply != NULL) {
        /* The last one's stands for all before it. */
        bytes_reuse(&device->acks);
        bytes_add(&device->acks, said->reply, said->reply_size);
    }
    device_received(device, said->payload, said->payload_size);
}

static size_t take(struct device *device, const uint8_t *data, size_t size)
{
    struct said said;
    size_t used = 0, one;
    while ((one = read_said(data + used, size - used, &said)) > 0) {
        used += one;
        if (said.payload != NULL)
            received(device, &said);
        else if (begins(&said, "PING"))
            bytes_add_text(&device->line.out, "PONG\r\n");
        else if (begins(&said, "PONG"))
            device_ready(device);
        else if (device->line.ssl == NULL)
            line_begin_tls(&device->line, device->fleet->tls); /* after INFO */
    }
    return used;
}

static void ack(struct device *device)
{
    bytes_print(&device->line.out, "PUB %.*s 4\r\n+ACK\r\n", (int)bytes_size(&device->acks),
                (const char *)bytes_first(&device->acks));
    device_acked(device);
}

static void beat(struct device *device)
{
    bytes_add_text(&device->line.out, "PING\r\n");
}

/* Publishers */

static void publisher_greet(struct publisher *publisher)
{
    bytes_print(&publisher->line.out, CONNECT "PING\r\n", 'p', publisher->index);
}

static void jetstream_publisher_greet(struct publisher *publisher)
{
    static const char stream[] = "{\"name\":\"BENCH\",\"subjects\":[\"bench.>\"],"
                                 "\"storage\":\"file\",\"retention\":\"limits\","
                                 /* By default it has 1,000 at most since version 2.15. */
                                 "\"max_consumers\":1000000}";
    struct bytes *out = &publisher->line.out;
    uint32_t index = publisher->index;
    bytes_print(out, CONNECT, 'p', index);
    bytes_print(out, "SUB answer.p%u %d\r\n", index, ANSWERS);
    bytes_print(out, "PUB $JS.API.STREAM.CREATE.BENCH answer.p%u %zu\r\n%s\r\n", index,
                sizeof stream - 1, stream);
}

static void begin(struct publisher *publisher, uint32_t oplogs)
{
    (void)publisher, (void)oplogs;
}

static void add_payload(struct publisher *publisher, const uint8_t *payload)
{
    uint32_t size = publisher->pool->options->payload;
    bytes_print(&publisher->line.out, " %u\r\n", size);
    bytes_add(&publisher->line.out, payload, size);
    bytes_add(&publisher->line.out, "\r\n", 2);
}

static void add(struct publisher *publisher, uint32_t number, const uint8_t *payload)
{
    if (number == EVERYONE)
        bytes_add_text(&publisher->line.out, "PUB all");
    else
        bytes_print(&publisher->line.out, "PUB bench.%u", number);
    add_payload(publisher, payload);
}

static void jetstream_add(struct publisher *publisher, uint32_t number, const uint8_t *payload)
{
    bytes_print(&publisher->line.out, "PUB bench.%u answer.p%u", number, publisher->index);
    add_payload(publisher, payload);
}

static void end(struct publisher *publisher)
{
    bytes_add_text(&publisher->line.out, "PING\r\n");
}

static void jetstream_end(struct publisher *publisher)
{
    (void)publisher; /* each oplog has an answer of its own */
}

static size_t answers(struct publisher *publisher, const uint8_t *data, size_t size)
{
    struct said said;
    size_t used = 0, one;
    while ((one = read_said(data + used, size - used, &said)) > 0) {
        used += one;
        if (said.payload != NULL)
            check_answer(&said);
        if (begins(&said, "PING"))
            bytes_add_text(&publisher->line.out, "PONG\r\n");
        else if (said.payload == NULL && !begins(&said, "PONG"))
            continue; /* INFO */
        else if (!publisher->ready)
            publisher_ready(publisher);
        else /* a PONG answers a batch, an answer of JetStream's one oplog */
            publisher_answered(publisher, said.payload != NULL ? 1 : publisher_awaits(publisher));
    }
    return used;
}

#define BOTH                                                                                      \
    .plain_first = true, .take = take, .ack = ack, .beat = beat, .begin = begin,                  \
    .answers = answers

const struct speaker speak_nats = {
    .name = "nats",
    BOTH,
    .broadcasts = true,
    .greet = greet,
    .publisher_greet = publisher_greet,
    .add = add,
    .end = end,
};

const struct speaker speak_jetstream = {
    .name = "jetstream",
    BOTH,
    .publishers_first = true,
    .keeps = true,
    .acks = true,
    .greet = jetstream_greet,
    .publisher_greet = jetstream_publisher_greet,
    .add = jetstream_add,
    .end = jetstream_end,
};
