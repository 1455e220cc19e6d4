/* Publishing to the floor: a length and records; the answer is how many, once they are on disk. */

#include "native.h"
#include "trouble.h"

void floor_greet(struct publisher *publisher)
{
    publisher_ready(publisher);
}

void floor_begin(struct publisher *publisher, uint32_t oplogs)
{
    (void)publisher, (void)oplogs;
}

void floor_add(struct publisher *publisher, uint32_t number, const uint8_t *payload)
{
    uint32_t size = publisher->pool->options->payload;
    put_u16(put_u32(bytes_extend(&publisher->body, 6), number), (uint16_t)size);
    bytes_add(&publisher->body, payload, size);
}

void floor_end(struct publisher *publisher)
{
    struct bytes *body = &publisher->body, *out = &publisher->line.out;
    put_u32(bytes_extend(out, 4), (uint32_t)bytes_size(body));
    bytes_add(out, bytes_first(body), bytes_size(body));
    bytes_clear(body);
}

size_t floor_answers(struct publisher *publisher, const uint8_t *data, size_t size)
{
    size_t used = 0;
    for (; size - used >= 4; used += 4) {
        uint32_t count = get_u32(data + used);
        if (count != publisher_awaits(publisher))
            trouble("publisher %u: %u oplogs were saved of %u", publisher->index, count,
                    publisher_awaits(publisher));
        publisher_answered(publisher, count);
    }
    return used;
}
