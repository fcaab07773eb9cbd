/* The least that an SMTP client can do: one epoll loop, one send and one recv for each reply, no checks.
 * It tells how much CPU the kernel alone takes for a message, so that a real client can be put beside it.
 *
 *   cc -O2 -o floor floor.c && ./floor SESSIONS MESSAGES PORT KEEP LENGTH
 *
 * KEEP 1: all messages of a session over one connection (smtp-source -d); 0: a new connection for each.
 * LENGTH: bytes of body; 0: four short lines. The server is 127.0.0.1:PORT.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 65536

enum state { BANNER, READY, MAIL, RCPT, DATA, CONTENT, QUIT };

static const char header[] =
    "From: <foo@localhost>\r\nTo: <foo@localhost>\r\nDate: Sun, 22 Nov 2026 07:42:50 +0000 (UTC)\r\n"
    "Message-Id: <1234.1234.1234@localhost>\r\n\r\n";

static char state[MOST], waiting[MOST]; /* waiting: to send more of the content */
static size_t unsent[MOST]; /* what is left of the content that this connection is sending */
static char *content;
static size_t contentLength;
static int epoll, left, keep;
static struct sockaddr_in server = {.sin_family = AF_INET};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void makeContent(size_t length)
{
    static const char few[] = "XXXXXXXX\r\nXXXXXXXX\r\nXXXXXXXX\r\nXXXXXXXX\r\n";
    size_t at = sizeof header - 1, i;

    content = malloc(at + length + sizeof few + 5);
    if (content == NULL)
        fail("malloc");
    memcpy(content, header, at);
    if (length == 0) {
        memcpy(content + at, few, sizeof few - 1);
        at += sizeof few - 1;
    } else {
        for (i = 0; i < length; i++)
            content[at + i] = i + 2 == length || i % 80 == 78 ? '\r' : i + 1 == length || i % 80 == 79 ? '\n' : 'X';
        at += length;
    }
    memcpy(content + at, ".\r\n", 3);
    contentLength = at + 3;
}

static void begin(void)
{
    struct linger linger = {1, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (fd < 0 || fd >= MOST)
        fail("socket");
    if (connect(fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS)
        fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    state[fd] = BANNER;
    unsent[fd] = 0;
    waiting[fd] = 0;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
        fail("epoll_ctl");
}

static void say(int fd, const char *line)
{
    if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0)
        fail("send");
}

/* Send the content, or as much of it as the connection takes now. */
static void sendContent(int fd)
{
    size_t before = unsent[fd];
    ssize_t sent = send(fd, content + contentLength - before, before, MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN)
        fail("send");
    if (sent > 0)
        unsent[fd] -= sent;
    if ((unsent[fd] > 0) != waiting[fd]) {
        struct epoll_event event = {.events = EPOLLIN | (unsent[fd] ? EPOLLOUT : 0), .data.fd = fd};
        waiting[fd] = unsent[fd] > 0;
        if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event))
            fail("epoll_ctl");
    }
}

/* Answer one reply. Returns 0 when the connection is over. */
static int answer(int fd)
{
    switch (state[fd]) {
    case BANNER:
        state[fd] = READY;
        say(fd, "HELO localhost\r\n");
        break;
    case CONTENT:
    case READY:
        if (left == 0 || (state[fd] == CONTENT && !keep)) {
            state[fd] = QUIT;
            say(fd, "QUIT\r\n");
            break;
        }
        left--;
        state[fd] = MAIL;
        say(fd, "MAIL FROM:<foo@localhost>\r\n");
        break;
    case MAIL:
        state[fd] = RCPT;
        say(fd, "RCPT TO:<foo@localhost>\r\n");
        break;
    case RCPT:
        state[fd] = DATA;
        say(fd, "DATA\r\n");
        break;
    case DATA:
        state[fd] = CONTENT;
        unsent[fd] = contentLength;
        sendContent(fd);
        break;
    default:
        return 0;
    }
    return 1;
}

int main(int argc, char **argv)
{
    static char buffer[65536];
    struct epoll_event events[256];
    int i, open, ready;

    if (argc != 6) {
        fprintf(stderr, "usage: floor SESSIONS MESSAGES PORT KEEP LENGTH\n");
        return 2;
    }
    open = atoi(argv[1]);
    left = atoi(argv[2]);
    server.sin_port = htons(atoi(argv[3]));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    keep = atoi(argv[4]);
    makeContent(atoi(argv[5]));
    epoll = epoll_create1(0);
    for (i = 0; i < open; i++)
        begin();
    while (open > 0) {
        ready = epoll_wait(epoll, events, 256, -1);
        for (i = 0; i < ready; i++) {
            int fd = events[i].data.fd, over = 0;
            char *line, *stop;
            ssize_t got;

            if (unsent[fd] > 0 && events[i].events & EPOLLOUT)
                sendContent(fd);
            if (!(events[i].events & ~EPOLLOUT))
                continue;
            got = recv(fd, buffer, sizeof buffer, 0);
            if (got <= 0)
                fail("the server went away");
            for (line = buffer; line < buffer + got && !over; line = stop + 1) {
                stop = memchr(line, '\n', buffer + got - line);
                if (stop == NULL)
                    break;
                if (line[3] != '-')
                    over = !answer(fd);
            }
            if (over) {
                close(fd);
                if (keep || left == 0)
                    open--;
                else
                    begin();
            }
        }
    }
    return 0;
}
