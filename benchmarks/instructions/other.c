/* The other end of a connection, within the process that is looked at, so that a run under callgrind is the same each time.
 *
 * Loaded by LD_PRELOAD, it takes the place of a server (OTHER=server) or of clients (OTHER=client): whenever the process
 * is about to wait for events, all there is to be said by the other end is said. So each time all connections are
 * ready, in the same order, and nothing depends on another process. Nor on the time: its clock goes on by one microsecond
 * each time that somebody looks at it, and by as much as was waited for where nothing happened.
 *
 * Instructions are counted, without those of this file, from message FROM to message TO. Environment: OTHER, FROM, TO;
 * PORT of 127.0.0.1, or SOCKET, a path; and for clients SESSIONS, and KEEP: 1 for connections that are kept.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

#define MOST 1024
#define ROOM 262144

struct connection {
    int fd, begun, inContent, recipients;
    long octets; /* of a chunk, still to come */
    char tail[6];
    char *held; /* the beginning of a line */
    int step; /* of a client */
};

static struct connection connections[MOST];
static int number, listener = -1, lmtp;
static long messages, from, to;
static long long passed;
static char room[ROOM];

static void die(const char *what)
{
    perror(what);
    _exit(70);
}

static const char *setting(const char *name)
{
    const char *value = getenv(name);
    return value ? value : "";
}

static socklen_t address(struct sockaddr_storage *where)
{
    memset(where, 0, sizeof *where);
    if (*setting("SOCKET")) {
        struct sockaddr_un *local = (struct sockaddr_un *)where;
        local->sun_family = AF_UNIX;
        strncpy(local->sun_path, setting("SOCKET"), sizeof local->sun_path - 1);
        return sizeof *local;
    }
    struct sockaddr_in *port = (struct sockaddr_in *)where;
    port->sin_family = AF_INET;
    port->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    port->sin_port = htons(atoi(setting("PORT")));
    return sizeof *port;
}

static void messageDone(void)
{
    messages++;
    if (messages == from) {
        CALLGRIND_START_INSTRUMENTATION;
        CALLGRIND_TOGGLE_COLLECT; /* we are in epoll_wait(): it was of no effect there before */
    }
    if (messages == to)
        CALLGRIND_STOP_INSTRUMENTATION;
}

static void say(struct connection *c, const char *text, size_t size)
{
    if (send(c->fd, text, size, MSG_NOSIGNAL) != (ssize_t)size)
        die("send");
}

static struct connection *added(int fd)
{
    struct connection *c = &connections[0];
    int one = 1;

    while (c < connections + number && c->fd >= 0)
        c++;
    if (c == connections + MOST)
        die("too many connections");
    if (c == connections + number)
        number++;
    memset(c, 0, sizeof *c);
    c->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return c;
}

/* -- A server, which accepts everything */

static size_t repliesTo(struct connection *c, const char *text, size_t size, char *out)
{
    size_t at = 0, said = 0, i;

#define REPLY(text) (memcpy(out + said, text, sizeof text - 1), said += sizeof text - 1)
    while (at < size) {
        if (c->octets) {
            size_t some = size - at < (size_t)c->octets ? size - at : (size_t)c->octets;
            at += some;
            c->octets -= some;
            if (!c->octets) {
                REPLY("250 2.0.0 Ok\r\n");
                messageDone();
            }
            continue;
        }
        if (c->inContent) {
            const char *end;
            char start[16];
            size_t few = size - at < 5 ? size - at : 5;
            /* the end may be split over two reads */
            memcpy(start, c->tail, 5);
            memcpy(start + 5, text + at, few);
            end = memmem(start, 5 + few, "\r\n.\r\n", 5);
            if (end)
                at += end + 5 - start - 5;
            else if ((end = memmem(text + at, size - at, "\r\n.\r\n", 5)) != NULL)
                at = end + 5 - text;
            if (!end) {
                size_t kept = size - at < 5 ? size - at : 5;
                memmove(c->tail, c->tail + kept, 5 - kept);
                memcpy(c->tail + 5 - kept, text + size - kept, kept);
                return said;
            }
            c->inContent = 0;
            for (i = 0; i < (size_t)(lmtp ? c->recipients : 1); i++)
                REPLY("250 2.0.0 Ok\r\n");
            messageDone();
            continue;
        }
        const char *end = memchr(text + at, '\n', size - at);
        if (!end) {
            c->held = strndup(text + at, size - at);
            return said;
        }
        const char *line = text + at;
        at = end + 1 - text;
        switch (*line) {
        case 'E':
        case 'L':
            lmtp = *line == 'L';
            REPLY("250-other\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
            break;
        case 'H':
            REPLY("250 other\r\n");
            break;
        case 'M':
            c->recipients = 0;
            REPLY("250 2.1.0 Ok\r\n");
            break;
        case 'R':
            c->recipients++;
            REPLY("250 2.1.5 Ok\r\n");
            break;
        case 'D':
            c->inContent = 1;
            memcpy(c->tail, "xxx\r\n", 5);
            REPLY("354 End data with <CR><LF>.<CR><LF>\r\n");
            break;
        case 'B':
            c->octets = atol(line + 5);
            break;
        case 'Q':
            REPLY("221 2.0.0 Bye\r\n");
            break;
        default:
            die("a command that nobody expected");
        }
    }
    return said;
}

static void serve(void)
{
    int fd, i;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        say(added(fd), "220 other ESMTP\r\n", 17);
    for (i = 0; i < number; i++) {
        struct connection *c = &connections[i];
        ssize_t size;
        if (c->fd < 0)
            continue;
        for (;;) {
            static char replies[ROOM];
            size_t held = c->held ? strlen(c->held) : 0, said;
            if (held) {
                memcpy(room, c->held, held);
                free(c->held);
                c->held = NULL;
            }
            size = recv(c->fd, room + held, ROOM - held, 0);
            if (size <= 0) {
                if (held)
                    c->held = strndup(room, held);
                break;
            }
            said = repliesTo(c, room, size + held, replies);
            if (said)
                say(c, replies, said);
        }
        if (size == 0) {
            close(c->fd);
            c->fd = -1;
        }
    }
}

/* -- Clients, which send one message after the other */

static const char *const commands[] = {
    "HELO other\r\n", "MAIL FROM:<foo@localhost>\r\n", "RCPT TO:<foo@localhost>\r\n", "DATA\r\n",
    "From: <foo@localhost>\r\nTo: <foo@localhost>\r\nDate: Sun, 22 Nov 2026 07:42:50 +0000 (UTC)\r\n"
    "Message-Id: <1234.1234.1234@localhost>\r\n\r\nXXXXXXXX\r\nXXXXXXXX\r\nXXXXXXXX\r\nXXXXXXXX\r\n.\r\n", "QUIT\r\n"};

static void connectOne(void)
{
    struct sockaddr_storage where;
    socklen_t size = address(&where);
    int fd = socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    static int (*really)(int, const struct sockaddr *, socklen_t);

    if (!really)
        really = dlsym(RTLD_NEXT, "connect");
    if (really(fd, (struct sockaddr *)&where, size) < 0)
        die("connect");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    added(fd);
}

static void drive(void)
{
    int i;

    if (!number)
        for (i = atoi(setting("SESSIONS")); i; i--)
            connectOne();
    for (i = 0; i < number; i++) {
        struct connection *c = &connections[i];
        ssize_t size;
        if (c->fd < 0)
            continue;
        size = recv(c->fd, room, ROOM, 0);
        if (size == 0) {
            close(c->fd);
            c->fd = -1;
            if (messages < to)
                connectOne();
        }
        if (size <= 0)
            continue;
        if (c->step == 5) {
            messageDone();
            if (messages == to)
                kill(getpid(), SIGTERM);
            if (messages >= to)
                continue;
            if (atoi(setting("KEEP")))
                c->step = 1;
        }
        if (c->step < 6)
            say(c, commands[c->step], strlen(commands[c->step]));
        c->step++;
    }
}

/* -- What the process calls */

static void begin(void)
{
    from = atol(setting("FROM"));
    to = atol(setting("TO"));
    if (!strcmp(setting("OTHER"), "server")) {
        struct sockaddr_storage where;
        socklen_t size = address(&where);
        int one = 1;
        listener = socket(where.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(listener, (struct sockaddr *)&where, size) < 0 || listen(listener, 1000) < 0)
            die("listen");
    }
}

int connect(int fd, const struct sockaddr *where, socklen_t size)
{
    static int (*really)(int, const struct sockaddr *, socklen_t);

    if (!really)
        really = dlsym(RTLD_NEXT, "connect");
    if (!to)
        begin();
    return really(fd, where, size);
}

int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout)
{
    static int (*really)(int, struct epoll_event *, int, int);
    int found;

    CALLGRIND_TOGGLE_COLLECT;
    if (!really)
        really = dlsym(RTLD_NEXT, "epoll_wait");
    if (!to)
        begin();
    if (listener >= 0)
        serve();
    else if (!strcmp(setting("OTHER"), "client"))
        drive();
    found = really(epoll, events, most, timeout);
    if (!found && timeout > 0)
        passed += timeout * 1000000LL;
    CALLGRIND_TOGGLE_COLLECT;
    return found;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    passed += 1000;
    now->tv_sec = (clock == CLOCK_REALTIME ? 1800000000 : 1000) + passed / 1000000000;
    now->tv_nsec = passed % 1000000000;
    return 0;
}
