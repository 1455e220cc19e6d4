/* As much of MessagePack as the frames of the native protocol need.
 *
 * Reading never fails half way: a fault sets `bad`, and everything after it reads as nothing, so
 * that a caller checks once, at the end.
 */

#ifndef MSGPACK_H
#define MSGPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

struct reading {
    const uint8_t *at, *end;
    bool bad;
};

struct text {
    const uint8_t *data;
    size_t size;
};

uint32_t read_array(struct reading *reading);
uint64_t read_int(struct reading *reading);
/* A str or a bin. */
struct text read_text(struct reading *reading);
void skip_values(struct reading *reading, uint32_t count);

void write_array(struct bytes *bytes, uint32_t count);
void write_int(struct bytes *bytes, uint64_t value);
void write_str(struct bytes *bytes, const char *text);
void write_bin(struct bytes *bytes, const uint8_t *data, size_t size);
void write_true(struct bytes *bytes);

/* Leave four bytes for a frame's length; end_frame(), given its result, fills them in. */
size_t begin_frame(struct bytes *bytes);
void end_frame(struct bytes *bytes, size_t begun);

#endif
