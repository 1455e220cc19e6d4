/* Publishing over Mobilesync's HTTP API: one POST for each batch.
 *
 * Strategy: a batch's JSON is put together from parts that are made once. Of each payload's base64
 * only the first 24 characters differ: the time and the running number, and two bytes more that
 * make up whole groups of three.
 */

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "native.h"
#include "trouble.h"

#define CHANGING_BYTES 18
#define HEAD_BYTES_MAX 16384

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The same for all: made by the first publisher. */
static struct {
    char *tail; /* the rest of the payload, and the end of the item */
    size_t tail_size;
} parts;

static char *encode(char *at, const uint8_t *data, size_t size)
{
    for (; size >= 3; data += 3, size -= 3) {
        uint32_t group = (uint32_t)data[0] << 16 | (uint32_t)data[1] << 8 | data[2];
        for (int shift = 18; shift >= 0; shift -= 6)
            *at++ = alphabet[group >> shift & 63];
    }
    if (size > 0) {
        uint32_t group = (uint32_t)data[0] << 16 | (size == 2 ? (uint32_t)data[1] << 8 : 0);
        *at++ = alphabet[group >> 18 & 63];
        *at++ = alphabet[group >> 12 & 63];
        *at++ = size == 2 ? alphabet[group >> 6 & 63] : '=';
        *at++ = '=';
    }
    return at;
}

static void make_parts(const struct publishers *pool)
{
    size_t size = pool->options->payload - CHANGING_BYTES;
    parts.tail = malloc(size * 4 / 3 + 16);
    if (parts.tail == NULL)
        trouble("no memory for a payload");
    char *end = encode(parts.tail, pool->payload + CHANGING_BYTES, size);
    memcpy(end, "\"},", 3);
    parts.tail_size = (size_t)(end - parts.tail) + 3;
}

void http_greet(struct publisher *publisher)
{
    if (parts.tail == NULL)
        make_parts(publisher->pool);
    publisher_ready(publisher);
}

void http_begin(struct publisher *publisher, uint32_t oplogs)
{
    (void)oplogs;
    bytes_add(&publisher->body, "[", 1);
}

void http_add(struct publisher *publisher, uint32_t number, const uint8_t *payload)
{
    struct bytes *body = &publisher->body;
    if (number == EVERYONE)
        bytes_add_text(body, "{\"biz\":\"BENCH-ALL\",\"target\":\"everyone");
    else
        bytes_print(body, "{\"biz\":\"BENCH\",\"target\":\"user:u%u", number);
    bytes_add_text(body, "\",\"payload_base64\":\"");
    encode((char *)bytes_extend(body, CHANGING_BYTES / 3 * 4), payload, CHANGING_BYTES);
    bytes_add(body, parts.tail, parts.tail_size);
}

void http_end(struct publisher *publisher)
{
    const struct options *options = publisher->pool->options;
    struct bytes *body = &publisher->body, *request = &publisher->request;
    bytes_first(body)[bytes_size(body) - 1] = ']'; /* for the last item's comma */
    bytes_clear(request);
    bytes_print(request,
                "POST /v1/apps/%s/oplogs HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n"
                "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                options->app, options->api_key, bytes_size(body));
    bytes_add(request, bytes_first(body), bytes_size(body));
    bytes_clear(body);
    bytes_add(&publisher->line.out, bytes_first(request), bytes_size(request));
}

/* The number after a header's name; -1 when it is not there. */
static long header(const char *head, size_t size, const char *name)
{
    size_t name_size = strlen(name);
    for (const char *at = head; at + name_size < head + size; at++)
        if (at[-1] == '\n' && strncasecmp(at, name, name_size) == 0)
            return strtol(at + name_size, NULL, 10);
    return -1;
}

size_t http_answers(struct publisher *publisher, const uint8_t *data, size_t size)
{
    const uint8_t *end = memmem(data, size, "\r\n\r\n", 4);
    if (end == NULL) {
        if (size > HEAD_BYTES_MAX)
            trouble("publisher %u: an answer without an end of its head", publisher->index);
        return 0;
    }
    size_t head_size = (size_t)(end - data) + 4;
    const char *head = (const char *)data + 1; /* so that each header has a byte before it */
    long body_size = header(head, head_size - 1, "content-length:");
    if (body_size < 0)
        trouble("publisher %u: an answer without a length", publisher->index);
    if (size < head_size + (size_t)body_size)
        return 0;
    int status = atoi((const char *)data + sizeof "HTTP/1.1");
    if (status == 200) {
        publisher_answered(publisher, publisher_awaits(publisher));
    } else if (status == 429 || status == 503) {
        long wait_s = header(head, head_size - 1, "retry-after:");
        publisher_refused(publisher, (wait_s > 0 ? (uint64_t)wait_s : 1) * SECOND_NS);
    } else {
        trouble("publishing: HTTP %d %.*s", status, (int)(body_size < 500 ? body_size : 500),
                (const char *)data + head_size);
    }
    return head_size + (size_t)body_size;
}
