/* A connection that never blocks: TCP, or TLS 1.3 over it, at either end.
 *
 * Strategy: one recv() and one send() for each turn of a line. OpenSSL reads from a buffer that all
 * lines share, through a BIO of our own, so that it never asks the kernel again for what is not
 * there. What arrives is handed out straight from a second shared buffer; only the beginning of
 * something unfinished is kept with the line. A line at rest holds next to nothing.
 *
 * Whoever writes appends to `out` and calls line_flush() once: that is one TLS record, one send().
 */

#ifndef LINE_H
#define LINE_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "bytes.h"

/* Anything that waits in epoll; the first member of whatever it belongs to. */
struct watched {
    void (*ready)(struct watched *watched, uint32_t events);
    int fd;
};

struct line;

/* What whoever has a line does when something happens on it. */
struct line_owner {
    /* TCP is there, or, after line_begin_tls(), TLS: look at line->ssl. */
    void (*opened)(struct line *line);
    /* Returns how many of the bytes are used up; the rest comes again with more. */
    size_t (*arrived)(struct line *line, const uint8_t *data, size_t size);
    /* The other side, or a fault, has ended it; the line is closed already. */
    void (*ended)(struct line *line, const char *why);
};

enum line_state { LINE_CLOSED, LINE_CONNECTING, LINE_SHAKING, LINE_OPEN };

struct line {
    struct watched watched; /* first */
    enum line_state state;
    bool asks_to_write;
    SSL *ssl;
    const struct line_owner *owner;
    struct bytes in, out;
};

/* Once, before anything else. `alpn` is offered or demanded; NULL for none. */
void lines_begin(void);
SSL_CTX *client_tls(const char *alpn);
SSL_CTX *server_tls(const char *alpn, const char *certificate, const char *key);

/* Handle what is ready, waiting for it no longer than `timeout_ns`. */
void lines_wait(uint64_t timeout_ns);

void watch(struct watched *watched);
void unwatch(struct watched *watched);

/* `tls` NULL: plain. The owner hears opened() or ended(). */
void line_connect(struct line *line, const struct line_owner *owner, const char *host,
                  uint16_t port, SSL_CTX *tls);
void line_accept(struct line *line, const struct line_owner *owner, int fd, SSL_CTX *tls);
/* From plain to TLS, for protocols that begin in the clear. */
void line_begin_tls(struct line *line, SSL_CTX *tls);
void line_flush(struct line *line);
/* End it without a word to the owner; may be called in any state. */
void line_close(struct line *line);

#endif
