/* Connections over epoll and OpenSSL; the strategy is told in line.h. */

#include "line.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "trouble.h"

#define RAW_BYTES (64 * 1024)
#define PLAIN_BYTES_FIRST (256 * 1024)
#define PLAIN_BYTES_MAX (64 * 1024 * 1024)
#define EVENTS_AT_ONCE 256
#define ALPN_BYTES_MAX 64

static int epoll_fd;
static BIO_METHOD *raw_method;

/* What recv() gave and OpenSSL has not taken yet; of one line at a time. */
static struct {
    uint8_t data[RAW_BYTES];
    size_t at, end;
} raw;

/* What is handed to the owner: decrypted, with the line's unfinished beginning before it. */
static struct {
    uint8_t *data;
    size_t room, end;
} plain;

static int raw_read(BIO *bio, char *into, int size)
{
    size_t left = raw.end - raw.at;
    BIO_clear_retry_flags(bio);
    if (left == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t count = left < (size_t)size ? left : (size_t)size;
    memcpy(into, raw.data + raw.at, count);
    raw.at += count;
    return (int)count;
}

static int raw_write(BIO *bio, const char *data, int size)
{
    struct line *line = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t sent = send(line->watched.fd, data, (size_t)size, MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_write(bio);
    return (int)sent;
}

static long raw_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

void lines_begin(void)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    raw_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "raw");
    plain.data = malloc(PLAIN_BYTES_FIRST);
    plain.room = PLAIN_BYTES_FIRST;
    if (epoll_fd < 0 || raw_method == NULL || plain.data == NULL)
        trouble("cannot begin: %s", strerror(errno));
    BIO_meth_set_read(raw_method, raw_read);
    BIO_meth_set_write(raw_method, raw_write);
    BIO_meth_set_ctrl(raw_method, raw_control);
}

static SSL_CTX *any_tls(const SSL_METHOD *method)
{
    SSL_CTX *tls = SSL_CTX_new(method);
    if (tls == NULL || !SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION))
        trouble("OpenSSL cannot speak TLS 1.3");
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* Every connection is a full handshake: no session is ever kept. */
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    return tls;
}

static unsigned int alpn_list(const char *alpn, uint8_t list[ALPN_BYTES_MAX])
{
    size_t size = strlen(alpn);
    if (size >= ALPN_BYTES_MAX)
        trouble("%s is too long for an ALPN name", alpn);
    list[0] = (uint8_t)size;
    memcpy(list + 1, alpn, size);
    return (unsigned int)size + 1;
}

SSL_CTX *client_tls(const char *alpn)
{
    uint8_t list[ALPN_BYTES_MAX];
    SSL_CTX *tls = any_tls(TLS_client_method());
    if (alpn != NULL && SSL_CTX_set_alpn_protos(tls, list, alpn_list(alpn, list)) != 0)
        trouble("OpenSSL refuses the ALPN name %s", alpn);
    return tls;
}

static int choose_alpn(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_size,
                       const unsigned char *offered, unsigned int offered_size, void *alpn)
{
    uint8_t list[ALPN_BYTES_MAX];
    unsigned int size = alpn_list(alpn, list);
    unsigned char *found;
    (void)ssl;
    if (SSL_select_next_proto(&found, chosen_size, offered, offered_size, list, size) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *chosen = found;
    return SSL_TLSEXT_ERR_OK;
}

SSL_CTX *server_tls(const char *alpn, const char *certificate, const char *key)
{
    SSL_CTX *tls = any_tls(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(tls, certificate) != 1)
        trouble("%s is not a certificate", certificate);
    if (SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1)
        trouble("%s is not the certificate's key", key);
    SSL_CTX_set_alpn_select_cb(tls, choose_alpn, (void *)(uintptr_t)alpn);
    return tls;
}

static void control(struct watched *watched, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watched};
    if (epoll_ctl(epoll_fd, operation, watched->fd, &event) < 0)
        trouble("epoll_ctl: %s", strerror(errno));
}

void watch(struct watched *watched)
{
    control(watched, EPOLL_CTL_ADD, EPOLLIN);
}

void unwatch(struct watched *watched)
{
    control(watched, EPOLL_CTL_DEL, 0);
}

void lines_wait(uint64_t timeout_ns)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    struct timespec timeout = {(time_t)(timeout_ns / SECOND_NS), (long)(timeout_ns % SECOND_NS)};
    int count = epoll_pwait2(epoll_fd, events, EVENTS_AT_ONCE, &timeout, NULL);
    if (count < 0 && errno != EINTR)
        trouble("epoll_pwait2: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        struct watched *watched = events[i].data.ptr;
        /* A line that an earlier event of this turn closed has no descriptor any more. */
        if (watched->fd >= 0)
            watched->ready(watched, events[i].events);
    }
}

static void end(struct line *line, const char *why)
{
    line_close(line);
    line->owner->ended(line, why);
}

static void ask_to_write(struct line *line, bool asks)
{
    if (line->asks_to_write != asks) {
        line->asks_to_write = asks;
        control(&line->watched, EPOLL_CTL_MOD, asks ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
}

/* The last error of OpenSSL on the line, or NULL when it only waits for the other side. */
static const char *tls_fault(struct line *line, int result)
{
    switch (SSL_get_error(line->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return NULL;
    case SSL_ERROR_WANT_WRITE:
        ask_to_write(line, true);
        return NULL;
    case SSL_ERROR_ZERO_RETURN:
        return "closed by the other side";
    default: {
        unsigned long code = ERR_get_error();
        const char *text = code ? ERR_reason_error_string(code) : strerror(errno);
        ERR_clear_error();
        return text ? text : "TLS failed";
    }
    }
}

/* True once TLS is up. */
static bool shake(struct line *line)
{
    int result = SSL_do_handshake(line->ssl);
    if (result != 1) {
        const char *fault = tls_fault(line, result);
        if (fault != NULL)
            end(line, fault);
        return false;
    }
    line->state = LINE_OPEN;
    ask_to_write(line, false);
    line->owner->opened(line);
    return line->state == LINE_OPEN;
}

/* Hand out what is in `plain`; what the owner leaves is kept for the next time. */
static void hand_out(struct line *line)
{
    size_t used = line->owner->arrived(line, plain.data, plain.end);
    if (line->state == LINE_CLOSED)
        return;
    plain.end -= used;
    memmove(plain.data, plain.data + used, plain.end);
}

static void make_room(void)
{
    if (plain.room - plain.end >= RAW_BYTES)
        return;
    if (plain.room >= PLAIN_BYTES_MAX)
        trouble("something longer than %d bytes arrives", PLAIN_BYTES_MAX);
    plain.room *= 2;
    plain.data = realloc(plain.data, plain.room);
    if (plain.data == NULL)
        trouble("no memory for %zu bytes", plain.room);
}

/* Bring what has been received into `plain`. Returns what ends the line, or NULL. */
static const char *decrypt(struct line *line)
{
    if (line->ssl == NULL) {
        memcpy(plain.data + plain.end, raw.data + raw.at, raw.end - raw.at);
        plain.end += raw.end - raw.at;
        raw.at = raw.end;
        return NULL;
    }
    for (;;) {
        int count = SSL_read(line->ssl, plain.data + plain.end, (int)(plain.room - plain.end));
        if (count <= 0)
            return tls_fault(line, count);
        plain.end += (size_t)count;
        make_room();
    }
}

static void take(struct line *line)
{
    plain.end = bytes_size(&line->in);
    while (plain.room < plain.end + RAW_BYTES)
        make_room();
    if (plain.end > 0)
        memcpy(plain.data, bytes_first(&line->in), plain.end);
    bytes_clear(&line->in);
    const char *fault = decrypt(line);
    if (plain.end > 0)
        hand_out(line);
    if (line->state == LINE_CLOSED)
        return;
    if (plain.end > 0)
        bytes_add(&line->in, plain.data, plain.end);
    if (fault != NULL)
        end(line, fault);
}

static void readable(struct line *line)
{
    ssize_t count = recv(line->watched.fd, raw.data, RAW_BYTES, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count <= 0) {
        end(line, count == 0 ? "closed by the other side" : strerror(errno));
        return;
    }
    raw.at = 0;
    raw.end = (size_t)count;
    if (line->state == LINE_SHAKING && !shake(line))
        return;
    /* The first bytes of a conversation often come in one piece with the end of the handshake. */
    take(line);
}

static void connected(struct line *line)
{
    int fault = 0;
    socklen_t size = sizeof fault;
    getsockopt(line->watched.fd, SOL_SOCKET, SO_ERROR, &fault, &size);
    if (fault != 0) {
        end(line, strerror(fault));
        return;
    }
    ask_to_write(line, false);
    raw.at = raw.end = 0;
    if (line->ssl != NULL) {
        line->state = LINE_SHAKING;
        shake(line);
    } else {
        line->state = LINE_OPEN;
        line->owner->opened(line);
    }
}

static void line_ready(struct watched *watched, uint32_t events)
{
    struct line *line = (struct line *)watched;
    if (line->state == LINE_CONNECTING) {
        connected(line);
        return;
    }
    if (events & EPOLLOUT) {
        ask_to_write(line, false);
        raw.at = raw.end = 0;
        if (line->state == LINE_OPEN)
            line_flush(line);
        else
            shake(line);
    }
    if (line->state != LINE_CLOSED && (events & ~(uint32_t)EPOLLOUT))
        readable(line);
}

static void set_tls(struct line *line, SSL_CTX *tls)
{
    BIO *bio = BIO_new(raw_method);
    line->ssl = SSL_new(tls);
    if (bio == NULL || line->ssl == NULL)
        trouble("no memory for another TLS connection");
    BIO_set_data(bio, line);
    BIO_set_init(bio, 1);
    SSL_set_bio(line->ssl, bio, bio);
}

static void begin(struct line *line, const struct line_owner *owner, int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    line->owner = owner;
    line->asks_to_write = false;
    line->watched = (struct watched){line_ready, fd};
    watch(&line->watched);
}

void line_connect(struct line *line, const struct line_owner *owner, const char *host,
                  uint16_t port, SSL_CTX *tls)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        trouble("no more connections: %s", strerror(errno));
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        trouble("%s is not an IPv4 address", host);
    int result = connect(fd, (struct sockaddr *)&address, sizeof address);
    if (result < 0 && errno != EINPROGRESS)
        trouble("cannot connect to %s:%u: %s", host, port, strerror(errno));
    begin(line, owner, fd);
    line->state = LINE_CONNECTING;
    ask_to_write(line, true);
    if (tls != NULL) {
        set_tls(line, tls);
        SSL_set_tlsext_host_name(line->ssl, "localhost");
        SSL_set_connect_state(line->ssl);
    }
}

void line_accept(struct line *line, const struct line_owner *owner, int fd, SSL_CTX *tls)
{
    begin(line, owner, fd);
    line->state = tls != NULL ? LINE_SHAKING : LINE_OPEN;
    if (tls != NULL) {
        set_tls(line, tls);
        SSL_set_accept_state(line->ssl);
    }
}

void line_begin_tls(struct line *line, SSL_CTX *tls)
{
    set_tls(line, tls);
    SSL_set_connect_state(line->ssl);
    line->state = LINE_SHAKING;
    shake(line);
}

void line_flush(struct line *line)
{
    while (line->state == LINE_OPEN && !line->asks_to_write && bytes_size(&line->out) > 0) {
        size_t size = bytes_size(&line->out);
        ssize_t sent;
        if (line->ssl != NULL) {
            sent = SSL_write(line->ssl, bytes_first(&line->out), (int)size);
            const char *fault = sent <= 0 ? tls_fault(line, (int)sent) : NULL;
            if (fault != NULL)
                break; /* reading will find the same fault, at a place where ended() may follow */
        } else {
            sent = send(line->watched.fd, bytes_first(&line->out), size, MSG_NOSIGNAL);
            if (sent < 0 && errno == EAGAIN)
                ask_to_write(line, true);
        }
        if (sent <= 0)
            return;
        bytes_drop(&line->out, (size_t)sent);
    }
}

void line_close(struct line *line)
{
    if (line->state == LINE_CLOSED)
        return;
    line->state = LINE_CLOSED;
    if (line->ssl != NULL) {
        /* Says close_notify, as far as it goes at once. */
        if (SSL_is_init_finished(line->ssl))
            SSL_shutdown(line->ssl);
        ERR_clear_error();
        SSL_free(line->ssl);
        line->ssl = NULL;
    }
    close(line->watched.fd);
    line->watched.fd = -1;
    bytes_free(&line->in);
    bytes_free(&line->out);
}
