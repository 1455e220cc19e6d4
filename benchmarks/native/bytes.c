/* Bytes in a row; the strategy is told in bytes.h. */

#include "bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trouble.h"

#define FIRST_ROOM 256
#define RESTING_ROOM_MAX 512

uint8_t *bytes_extend(struct bytes *bytes, size_t size)
{
    if (bytes->end + size > bytes->room) {
        size_t held = bytes_size(bytes);
        if (bytes->begin > 0) {
            memmove(bytes->data, bytes_first(bytes), held);
            bytes->begin = 0;
            bytes->end = held;
        }
        size_t room = bytes->room ? bytes->room : FIRST_ROOM;
        while (room < held + size)
            room *= 2;
        if (room > bytes->room) {
            bytes->data = realloc(bytes->data, room);
            if (bytes->data == NULL)
                trouble("no memory for %zu bytes", room);
            bytes->room = room;
        }
    }
    bytes->end += size;
    return bytes->data + bytes->end - size;
}

void bytes_add(struct bytes *bytes, const void *data, size_t size)
{
    if (size > 0) /* otherwise `data` may be no place at all */
        memcpy(bytes_extend(bytes, size), data, size);
}

void bytes_add_text(struct bytes *bytes, const char *text)
{
    bytes_add(bytes, text, strlen(text));
}

void bytes_print(struct bytes *bytes, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size >= sizeof text)
        trouble("a text of %d bytes does not fit", size);
    bytes_add(bytes, text, (size_t)size);
}

void bytes_drop(struct bytes *bytes, size_t size)
{
    bytes->begin += size;
    if (bytes->begin == bytes->end)
        bytes_clear(bytes);
}

void bytes_clear(struct bytes *bytes)
{
    bytes->begin = bytes->end = 0;
    if (bytes->room > RESTING_ROOM_MAX)
        bytes_free(bytes);
}

void bytes_free(struct bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct bytes){0};
}
