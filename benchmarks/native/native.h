/* The publishers' sides of what speaks the native protocol to devices. */

#ifndef NATIVE_H
#define NATIVE_H

#include "publishers.h"

/* Mobilesync's HTTP API. */
void http_greet(struct publisher *publisher);
void http_begin(struct publisher *publisher, uint32_t oplogs);
void http_add(struct publisher *publisher, uint32_t number, const uint8_t *payload);
void http_end(struct publisher *publisher);
size_t http_answers(struct publisher *publisher, const uint8_t *data, size_t size);

/* The floor's plain lines. */
void floor_greet(struct publisher *publisher);
void floor_begin(struct publisher *publisher, uint32_t oplogs);
void floor_add(struct publisher *publisher, uint32_t number, const uint8_t *payload);
void floor_end(struct publisher *publisher);
size_t floor_answers(struct publisher *publisher, const uint8_t *data, size_t size);

#endif
