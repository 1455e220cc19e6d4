/* The floor: the least that a durable push server must do, and nothing else.
 *
 * Strategy: one thread, one turn after the other. A turn takes whatever is there on all lines: what
 * publishers send gets ids and goes to the end of a log, acks go there as well; then one write and
 * one fdatasync for all of it; and only then the pushes and the answers leave, one TLS record for
 * each device. There are no rules, no tokens, no bizzes, no windows and no reading back: an oplog
 * for a device that is away waits in memory until it comes.
 */

#ifndef FLOOR_H
#define FLOOR_H

#include "line.h"
#include "trouble.h"

#define EVERYONE UINT32_MAX

/* floor_log.c: the end of the log, and when it is on disk. */
void log_open(const char *path, bool sync);
void log_oplog(uint32_t number, uint64_t id, const uint8_t *payload, size_t size);
void log_ack(uint32_t number, bool to_everyone, uint64_t received);
/* What has been logged since the last commit is on disk when this returns. */
void log_commit(void);
/* When what has been logged must be committed at the latest; UINT64_MAX: nothing was. */
uint64_t log_due_ns(void);

/* floor_devices.c: devices, online and away. */
void devices_begin(SSL_CTX *tls);
void device_accept(int fd);
/* The next id for the device, or for everyone. */
uint64_t next_id(uint32_t number);
/* Once it is on disk: push it, or keep it for a device that is away. */
void push(uint32_t number, uint64_t id, const uint8_t *payload, size_t size);
/* Let everything leave that was pushed in this turn, and forget who has gone. */
void devices_turn(void);

/* floor_publishers.c: requests, and their answers after the commit. */
void publisher_accept(int fd);
bool publishers_wait(void);
/* After the commit: push what was published in this turn, then answer. */
void publishers_push(void);
void publishers_answer(void);

#endif
