/* Bytes in a row that grow at the end and are used up at the beginning.
 *
 * Strategy: one allocation, which is given back as soon as it is empty and larger than a connection
 * at rest may keep, because there are ten thousand of them.
 */

#ifndef BYTES_H
#define BYTES_H

#include <stddef.h>
#include <stdint.h>

struct bytes {
    uint8_t *data;
    size_t begin, end, room;
};

static inline size_t bytes_size(const struct bytes *bytes)
{
    return bytes->end - bytes->begin;
}

static inline uint8_t *bytes_first(const struct bytes *bytes)
{
    return bytes->data + bytes->begin;
}

/* Room for `size` bytes at the end, already counted as there. Valid until the next growth. */
uint8_t *bytes_extend(struct bytes *bytes, size_t size);

void bytes_add(struct bytes *bytes, const void *data, size_t size);
void bytes_add_text(struct bytes *bytes, const char *text);
__attribute__((format(printf, 2, 3))) void bytes_print(struct bytes *bytes, const char *format,
                                                       ...);

/* The first `size` bytes are used up. */
void bytes_drop(struct bytes *bytes, size_t size);
void bytes_clear(struct bytes *bytes);
void bytes_free(struct bytes *bytes);

/* Empty it, but keep its room: for the few that are filled again at once. */
static inline void bytes_reuse(struct bytes *bytes)
{
    bytes->begin = bytes->end = 0;
}

static inline uint8_t *put_u16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return at + 2;
}

static inline uint8_t *put_u32(uint8_t *at, uint32_t value)
{
    return put_u16(put_u16(at, (uint16_t)(value >> 16)), (uint16_t)value);
}

static inline uint16_t get_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)get_u16(at) << 16 | get_u16(at + 2);
}

#endif
