/* The floor's beginning and its turns; the strategy is told in floor.h. */

#include "floor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096
#define TURN_NS_MAX SECOND_NS

struct settings {
    const char *device_port, *publish_port, *certificate, *key, *log;
    bool sync;
};

struct listener {
    struct watched watched; /* first */
    void (*accepted)(int fd);
};

static struct settings read_settings(int argc, char **argv)
{
    struct settings settings = {.sync = true};
    const struct {
        const char *name;
        const char **place;
    } rows[] = {
        {"--device-port", &settings.device_port}, {"--publish-port", &settings.publish_port},
        {"--certificate", &settings.certificate}, {"--key", &settings.key},
        {"--log", &settings.log},
    };
    const size_t row_count = sizeof rows / sizeof *rows;
    for (int i = 1; i < argc; i++) {
        size_t row = 0;
        while (row < row_count && strcmp(rows[row].name, argv[i]) != 0)
            row++;
        if (strcmp(argv[i], "--no-sync") == 0)
            settings.sync = false;
        else if (row < row_count && i + 1 < argc)
            *rows[row].place = argv[++i];
        else
            trouble("%s: no such option, or without its value", argv[i]);
    }
    for (size_t row = 0; row < row_count; row++)
        if (*rows[row].place == NULL)
            trouble("%s is needed", rows[row].name);
    return settings;
}

static void listener_ready(struct watched *watched, uint32_t events)
{
    struct listener *listener = (struct listener *)watched;
    int fd;
    (void)events;
    while ((fd = accept4(watched->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        listener->accepted(fd);
    if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
        trouble("accept: %s", strerror(errno));
}

static void listen_on(struct listener *listener, const char *port, void (*accepted)(int fd))
{
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)atoi(port)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, BACKLOG) < 0)
        trouble("cannot listen on port %s: %s", port, strerror(errno));
    *listener = (struct listener){{listener_ready, fd}, accepted};
    watch(&listener->watched);
}

static void turn(void)
{
    uint64_t now = now_ns(), due = log_due_ns();
    uint64_t wait_ns = due > now ? due - now : 0;
    lines_wait(wait_ns < TURN_NS_MAX ? wait_ns : TURN_NS_MAX);
    if (publishers_wait() || log_due_ns() <= now_ns())
        log_commit();
    /* From here on everything of this turn is on disk. */
    publishers_push();
    devices_turn();
    publishers_answer();
}

int main(int argc, char **argv)
{
    static struct listener devices, publishers;
    struct settings settings = read_settings(argc, argv);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    signal(SIGPIPE, SIG_IGN);
    lines_begin();
    log_open(settings.log, settings.sync);
    devices_begin(server_tls("mobilesync/1", settings.certificate, settings.key));
    listen_on(&devices, settings.device_port, device_accept);
    listen_on(&publishers, settings.publish_port, publisher_accept);
    for (;;)
        turn();
}
