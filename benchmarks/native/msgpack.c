/* MessagePack, read and written by its format bytes; the strategy is told in msgpack.h. */

#include "msgpack.h"

#include <string.h>

static const uint8_t *advance(struct reading *reading, size_t size)
{
    const uint8_t *at = reading->at;
    if (reading->bad || (size_t)(reading->end - at) < size) {
        reading->bad = true;
        return NULL;
    }
    reading->at += size;
    return at;
}

static uint64_t big_endian(struct reading *reading, size_t size)
{
    const uint8_t *at = advance(reading, size);
    uint64_t value = 0;
    for (size_t i = 0; at != NULL && i < size; i++)
        value = value << 8 | at[i];
    return value;
}

/* The format byte; 0xc1, which MessagePack never uses, where there is none. */
static uint8_t format_of(struct reading *reading)
{
    const uint8_t *at = advance(reading, 1);
    return at != NULL ? *at : 0xc1;
}

uint32_t read_array(struct reading *reading)
{
    uint8_t format = format_of(reading);
    if ((format & 0xf0) == 0x90)
        return format & 0x0f;
    if (format == 0xdc || format == 0xdd)
        return (uint32_t)big_endian(reading, format == 0xdc ? 2 : 4);
    reading->bad = true;
    return 0;
}

uint64_t read_int(struct reading *reading)
{
    uint8_t format = format_of(reading);
    if (format < 0x80)
        return format;
    if (format >= 0xcc && format <= 0xcf)
        return big_endian(reading, (size_t)1 << (format - 0xcc));
    if (format >= 0xd0 && format <= 0xd3) /* nothing in the protocol is negative */
        return big_endian(reading, (size_t)1 << (format - 0xd0));
    reading->bad = true;
    return 0;
}

struct text read_text(struct reading *reading)
{
    uint8_t format = format_of(reading);
    size_t size = 0;
    if ((format & 0xe0) == 0xa0)
        size = format & 0x1f;
    else if (format >= 0xd9 && format <= 0xdb)
        size = big_endian(reading, (size_t)1 << (format - 0xd9));
    else if (format >= 0xc4 && format <= 0xc6)
        size = big_endian(reading, (size_t)1 << (format - 0xc4));
    else
        reading->bad = true;
    const uint8_t *data = advance(reading, size);
    return (struct text){data, data != NULL ? size : 0};
}

/* How many values stand inside the one that begins here, whose other bytes are skipped. */
static uint64_t skip_head(struct reading *reading)
{
    uint8_t format = format_of(reading);
    if (format < 0x80 || format >= 0xe0 || format == 0xc0 || format == 0xc2 || format == 0xc3)
        return 0;
    if (format < 0x90)
        return 2 * (uint64_t)(format & 0x0f);
    if (format < 0xa0)
        return format & 0x0f;
    if (format < 0xc0) {
        advance(reading, format & 0x1f);
    } else if (format >= 0xca && format <= 0xd3) {
        static const uint8_t sizes[] = {4, 8, 1, 2, 4, 8, 1, 2, 4, 8};
        advance(reading, sizes[format - 0xca]);
    } else if (format >= 0xdc && format <= 0xdf) {
        uint64_t count = big_endian(reading, format & 1 ? 4 : 2);
        return format >= 0xde ? 2 * count : count;
    } else if ((format >= 0xc4 && format <= 0xc6) || (format >= 0xd9 && format <= 0xdb)) {
        unsigned width = format - (format >= 0xd9 ? 0xd9 : 0xc4);
        advance(reading, big_endian(reading, (size_t)1 << width));
    } else {
        reading->bad = true; /* extension types have no use in the protocol */
    }
    return 0;
}

void skip_values(struct reading *reading, uint32_t count)
{
    uint64_t left = count;
    while (left > 0 && !reading->bad)
        left += skip_head(reading) - 1;
}

void write_array(struct bytes *bytes, uint32_t count)
{
    if (count < 16) {
        *bytes_extend(bytes, 1) = (uint8_t)(0x90 | count);
    } else {
        uint8_t *at = bytes_extend(bytes, 5);
        at[0] = 0xdd;
        put_u32(at + 1, count);
    }
}

void write_int(struct bytes *bytes, uint64_t value)
{
    if (value < 0x80) {
        *bytes_extend(bytes, 1) = (uint8_t)value;
    } else if (value < 0x10000) {
        uint8_t *at = bytes_extend(bytes, 3);
        at[0] = 0xcd;
        put_u16(at + 1, (uint16_t)value);
    } else if (value <= UINT32_MAX) {
        uint8_t *at = bytes_extend(bytes, 5);
        at[0] = 0xce;
        put_u32(at + 1, (uint32_t)value);
    } else {
        uint8_t *at = bytes_extend(bytes, 9);
        at[0] = 0xcf;
        put_u32(put_u32(at + 1, (uint32_t)(value >> 32)), (uint32_t)value);
    }
}

void write_str(struct bytes *bytes, const char *text)
{
    size_t size = strlen(text);
    if (size < 32) {
        *bytes_extend(bytes, 1) = (uint8_t)(0xa0 | size);
    } else {
        uint8_t *at = bytes_extend(bytes, 3);
        at[0] = 0xda;
        put_u16(at + 1, (uint16_t)size);
    }
    bytes_add(bytes, text, size);
}

void write_bin(struct bytes *bytes, const uint8_t *data, size_t size)
{
    if (size < 256) {
        uint8_t *at = bytes_extend(bytes, 2);
        at[0] = 0xc4;
        at[1] = (uint8_t)size;
    } else {
        uint8_t *at = bytes_extend(bytes, 5);
        at[0] = 0xc6;
        put_u32(at + 1, (uint32_t)size);
    }
    bytes_add(bytes, data, size);
}

void write_true(struct bytes *bytes)
{
    *bytes_extend(bytes, 1) = 0xc3;
}

size_t begin_frame(struct bytes *bytes)
{
    bytes_extend(bytes, 4);
    return bytes_size(bytes);
}

void end_frame(struct bytes *bytes, size_t begun)
{
    size_t size = bytes_size(bytes) - begun;
    put_u32(bytes_first(bytes) + begun - 4, (uint32_t)size);
}
