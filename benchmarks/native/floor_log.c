/* The log: everything is added at its end, and one fdatasync serves all of a turn. */

#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum kind { OPLOG = 1, ACK = 2 };

/* Acks alone wait so long for a commit that they can share. */
#define ACKS_WAIT_NS (100 * MILLISECOND_NS)

static int log_fd;
static bool synced;
static struct bytes added;
static uint64_t due_ns = UINT64_MAX;

void log_open(const char *path, bool sync)
{
    log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0)
        trouble("cannot write %s: %s", path, strerror(errno));
    synced = sync;
}

static void add_head(enum kind kind, uint32_t number, uint64_t id, size_t size)
{
    uint8_t *at = bytes_extend(&added, 17);
    *at++ = (uint8_t)kind;
    at = put_u32(at, number);
    at = put_u32(put_u32(at, (uint32_t)(id >> 32)), (uint32_t)id);
    put_u32(at, (uint32_t)size);
    if (due_ns == UINT64_MAX)
        due_ns = now_ns() + ACKS_WAIT_NS;
}

void log_oplog(uint32_t number, uint64_t id, const uint8_t *payload, size_t size)
{
    add_head(OPLOG, number, id, size);
    bytes_add(&added, payload, size);
}

void log_ack(uint32_t number, bool to_everyone, uint64_t received)
{
    add_head(ACK, number, received, to_everyone);
}

void log_commit(void)
{
    size_t done = 0, size = bytes_size(&added);
    while (done < size) {
        ssize_t written = write(log_fd, bytes_first(&added) + done, size - done);
        if (written < 0 && errno != EINTR)
            trouble("cannot write the log: %s", strerror(errno));
        done += written > 0 ? (size_t)written : 0;
    }
    if (synced && fdatasync(log_fd) < 0)
        trouble("cannot sync the log: %s", strerror(errno));
    bytes_reuse(&added);
    due_ns = UINT64_MAX;
}

uint64_t log_due_ns(void)
{
    return due_ns;
}
