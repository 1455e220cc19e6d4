/* The floor's publishers: a request is a length and records of number, length and payload. */

#include <stdlib.h>

#include "floor.h"

#define REQUEST_BYTES_MAX (64 * 1024 * 1024)

struct publisher {
    struct line line; /* first */
    struct publisher *next_gone;
};

/* What was published in this turn: to be pushed once it is on disk. */
struct oplog {
    uint32_t number;
    uint32_t size;
    uint64_t id;
    size_t at; /* in `payloads` */
};

struct answer {
    struct publisher *publisher;
    uint32_t count;
};

static struct bytes oplogs, payloads, answers;
static struct publisher *gone;

static size_t records(const uint8_t *data, size_t size, uint32_t *count)
{
    size_t used = 0;
    while (size - used >= 6) {
        uint32_t number = get_u32(data + used), length = get_u16(data + used + 4);
        if (size - used < 6 + (size_t)length)
            break;
        const uint8_t *payload = data + used + 6;
        struct oplog oplog = {number, length, next_id(number), bytes_size(&payloads)};
        log_oplog(number, oplog.id, payload, length);
        bytes_add(&payloads, payload, length);
        bytes_add(&oplogs, &oplog, sizeof oplog);
        used += 6 + (size_t)length;
        ++*count;
    }
    return used;
}

static void opened(struct line *line)
{
    (void)line;
}

static void leave(struct publisher *publisher)
{
    line_close(&publisher->line);
    publisher->next_gone = gone;
    gone = publisher;
}

static size_t arrived(struct line *line, const uint8_t *data, size_t size)
{
    struct publisher *publisher = (struct publisher *)line;
    size_t used = 0;
    while (size - used >= 4) {
        uint32_t body = get_u32(data + used);
        struct answer answer = {publisher, 0};
        if (body <= REQUEST_BYTES_MAX && size - used < 4 + (size_t)body)
            break;
        if (body > REQUEST_BYTES_MAX || records(data + used + 4, body, &answer.count) != body) {
            leave(publisher);
            return used;
        }
        bytes_add(&answers, &answer, sizeof answer);
        used += 4 + (size_t)body;
    }
    return used;
}

static void ended(struct line *line, const char *why)
{
    (void)why;
    leave((struct publisher *)line);
}

static const struct line_owner publisher_line = {opened, arrived, ended};

void publisher_accept(int fd)
{
    struct publisher *publisher = calloc(1, sizeof *publisher);
    if (publisher == NULL)
        trouble("no memory for another publisher");
    line_accept(&publisher->line, &publisher_line, fd, NULL);
}

bool publishers_wait(void)
{
    return bytes_size(&answers) > 0;
}

void publishers_push(void)
{
    const struct oplog *first = (const struct oplog *)bytes_first(&oplogs);
    size_t count = bytes_size(&oplogs) / sizeof *first;
    for (size_t i = 0; i < count; i++)
        push(first[i].number, first[i].id, bytes_first(&payloads) + first[i].at, first[i].size);
    bytes_reuse(&oplogs);
    bytes_reuse(&payloads);
}

void publishers_answer(void)
{
    const struct answer *first = (const struct answer *)bytes_first(&answers);
    size_t count = bytes_size(&answers) / sizeof *first;
    for (size_t i = 0; i < count; i++) {
        struct line *line = &first[i].publisher->line;
        if (line->state == LINE_CLOSED)
            continue;
        put_u32(bytes_extend(&line->out, 4), first[i].count);
        line_flush(line);
    }
    bytes_reuse(&answers);
    while (gone != NULL) {
        struct publisher *publisher = gone;
        gone = publisher->next_gone;
        free(publisher);
    }
}
