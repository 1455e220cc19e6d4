/* Redis Streams: one stream and one consumer group for each device, read by blocking XREADGROUPs.
 *
 * Strategy: while a connection blocks in XREADGROUP, Redis runs nothing else of it. So what a
 * device has read is acked together with its next read, and while something waits to be acked the
 * read blocks no longer than until then.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "publishers.h"
#include "trouble.h"

#define READ_COUNT_MAX "1000"

static void write_command(struct bytes *out, const char *const *words, size_t count, size_t more)
{
    bytes_print(out, "*%zu\r\n", count + more);
    for (size_t i = 0; i < count; i++)
        bytes_print(out, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
}

#define WRITE(out, more, ...)                                                                     \
    do {                                                                                          \
        const char *const words[] = {__VA_ARGS__};                                                \
        write_command(out, words, sizeof words / sizeof *words, more);                            \
    } while (0)

/* Reading what Redis answers: never beyond `end`; what is not all there yet is `cut`. */
struct answer {
    const uint8_t *at, *end;
    bool cut;
};

/* The line at the place, without its type and its end; its number, where it has one. */
static char read_line(struct answer *answer, long *number)
{
    size_t left = (size_t)(answer->end - answer->at);
    const uint8_t *end = memmem(answer->at, left, "\r\n", 2);
    char type = 0;
    if (end == NULL) {
        answer->cut = true;
        return 0;
    }
    type = (char)*answer->at;
    *number = strtol((const char *)answer->at + 1, NULL, 10);
    answer->at = end + 2;
    return type;
}

static const uint8_t *read_bulk(struct answer *answer, size_t *size)
{
    long number = 0;
    char type = read_line(answer, &number);
    const uint8_t *at = answer->at;
    if (!answer->cut && (type != '$' || number < 0))
        trouble("Redis answers %c%ld where bytes are expected", type, number);
    if (answer->cut || answer->end - at < number + 2) {
        answer->cut = true;
        return NULL;
    }
    answer->at += number + 2;
    *size = (size_t)number;
    return at;
}

/* Pass over one answer, whatever it holds. */
static void skip(struct answer *answer)
{
    long left = 1, number = 0;
    while (left-- > 0 && !answer->cut) {
        const uint8_t *at = answer->at;
        switch (read_line(answer, &number)) {
        case '*':
            left += number > 0 ? number : 0;
            break;
        case '$':
            if (number >= 0) {
                size_t size;
                answer->at = at;
                read_bulk(answer, &size);
            }
            break;
        default:
            break;
        }
    }
}

static void read_on(struct device *device)
{
    char stream[32], block_ms[32] = "0";
    struct bytes *out = &device->line.out;
    uint64_t now = now_ns();
    snprintf(stream, sizeof stream, "u%u", device->number);
    if (device->ack_asked && device->unacked > 0) {
        WRITE(out, device->unacked, "XACK", stream, "g");
        bytes_add(out, bytes_first(&device->acks), bytes_size(&device->acks));
        bytes_clear(&device->acks);
        device_acked(device);
    }
    if (device->unacked > 0) {
        uint64_t left_ns = device->ack_due_ns > now ? device->ack_due_ns - now : 0;
        snprintf(block_ms, sizeof block_ms, "%u", (unsigned)(left_ns / MILLISECOND_NS) + 1);
    }
    WRITE(out, 0, "XREADGROUP", "GROUP", "g", "d", "BLOCK", block_ms, "COUNT", READ_COUNT_MAX,
          "STREAMS", stream, ">");
}

static void greet(struct device *device)
{
    char stream[32];
    snprintf(stream, sizeof stream, "u%u", device->number);
    device->beat_s = device->fleet->options->beat_s;
    WRITE(&device->line.out, 0, "XGROUP", "CREATE", stream, "g", "0", "MKSTREAM");
}

/* [[stream, [[id, ["p", payload]], …]]]; all of it is there. */
static void oplogs(struct device *device, struct answer answer)
{
    long count = 0, unused;
    size_t size = 0;
    read_line(&answer, &unused);
    read_line(&answer, &unused);
    read_bulk(&answer, &size);
    if (read_line(&answer, &count) != '*')
        trouble("device %u: an answer that is no list of oplogs", device->number);
    for (long i = 0; i < count; i++) {
        read_line(&answer, &unused);
        const uint8_t *id = read_bulk(&answer, &size);
        bytes_print(&device->acks, "$%zu\r\n%.*s\r\n", size, (int)size, (const char *)id);
        read_line(&answer, &unused);
        read_bulk(&answer, &size);
        const uint8_t *payload = read_bulk(&answer, &size);
        device_received(device, payload, size);
    }
}

static size_t take(struct device *device, const uint8_t *data, size_t size)
{
    size_t used = 0;
    while (used < size) {
        struct answer answer = {data + used, data + size, false};
        const char *text = (const char *)data + used;
        skip(&answer);
        if (answer.cut)
            break;
        size_t one = (size_t)(answer.at - data) - used;
        if (*text == '-' && strncmp(text, "-BUSYGROUP", 10) != 0)
            trouble("device %u: Redis says %.*s", device->number, (int)one - 2, text);
        if (*text == '*' && one > sizeof "*-1\r\n" - 1)
            oplogs(device, (struct answer){data + used, answer.at, false});
        if (*text == '+' || *text == '-')
            device_ready(device);
        if (*text != ':') /* which is XACK's answer: the read's comes after it */
            read_on(device);
        used += one;
    }
    return used;
}

static void ack(struct device *device)
{
    (void)device; /* goes out with the next read; see above */
}

static void beat(struct device *device)
{
    (void)device; /* Redis asks for none, and would not read it */
}

static void publisher_greet(struct publisher *publisher)
{
    publisher_ready(publisher);
}

static void begin(struct publisher *publisher, uint32_t oplogs)
{
    (void)publisher, (void)oplogs;
}

static void add(struct publisher *publisher, uint32_t number, const uint8_t *payload)
{
    char stream[32];
    uint32_t size = publisher->pool->options->payload;
    struct bytes *out = &publisher->line.out;
    snprintf(stream, sizeof stream, "u%u", number);
    WRITE(out, 1, "XADD", stream, "*", "p");
    bytes_print(out, "$%u\r\n", size);
    bytes_add(out, payload, size);
    bytes_add(out, "\r\n", 2);
}

static void end(struct publisher *publisher)
{
    (void)publisher;
}

static size_t answers(struct publisher *publisher, const uint8_t *data, size_t size)
{
    size_t used = 0;
    uint32_t answered = 0;
    while (used < size) {
        struct answer answer = {data + used, data + size, false};
        skip(&answer);
        if (answer.cut)
            break;
        size_t one = (size_t)(answer.at - data) - used;
        if (data[used] != '$')
            trouble("publisher %u: Redis says %.*s", publisher->index, (int)one - 2,
                    (const char *)data + used);
        answered++;
        used += one;
    }
    publisher_answered(publisher, answered);
    return used;
}

const struct speaker speak_redis = {
    .name = "redis",
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
