/* The least that an SMTP client within TLS can do: one epoll loop, one SSL_write and one SSL_read for each reply, no
 * checks of replies and none of certificates. It is to TLS what floor.c is to plain connections.
 *
 *   cc -O2 -o tlsfloor tlsfloor.c -lssl -lcrypto && ./tlsfloor SESSIONS MESSAGES PORT KEEP
 *
 * KEEP 1: all messages of a session over one connection; 0: a new connection for each, with a full handshake. A body
 * is four short lines. TLS begins the connection. The server is 127.0.0.1:PORT.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 65536

enum state { BANNER, READY, MAIL, RCPT, DATA, CONTENT, QUIT };

static const char content[] =
    "From: <foo@localhost>\r\nTo: <foo@localhost>\r\nDate: Sun, 22 Nov 2026 07:42:50 +0000 (UTC)\r\n"
    "Message-Id: <1234.1234.1234@localhost>\r\n\r\n"
    "XXXXXXXX\r\nXXXXXXXX\r\nXXXXXXXX\r\nXXXXXXXX\r\n.\r\n";

static char state[MOST];
static SSL *tls[MOST];
static SSL_CTX *context;
static int epoll, left, keep;
static struct sockaddr_in server = {.sin_family = AF_INET};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void failTLS(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, ERR_reason_error_string(ERR_peek_error()));
    exit(1);
}

/* Whether SSL_connect or SSL_read has only to wait for more to come. */
static int waits(int fd, int result)
{
    return SSL_get_error(tls[fd], result) == SSL_ERROR_WANT_READ;
}

static void begin(void)
{
    struct linger linger = {1, 0};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1, result;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (fd < 0 || fd >= MOST)
        fail("socket");
    if (connect(fd, (struct sockaddr *)&server, sizeof server))
        fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    if (fcntl(fd, F_SETFL, O_NONBLOCK))
        fail("fcntl");
    state[fd] = BANNER;
    tls[fd] = SSL_new(context);
    if (tls[fd] == NULL || !SSL_set_fd(tls[fd], fd))
        failTLS("SSL_new");
    result = SSL_connect(tls[fd]);
    if (result != 1 && !waits(fd, result))
        failTLS("SSL_connect");
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
        fail("epoll_ctl");
}

static void say(int fd, const char *text)
{
    int length = strlen(text);

    if (SSL_write(tls[fd], text, length) != length)
        failTLS("SSL_write");
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
        say(fd, content);
        break;
    default:
        return 0;
    }
    return 1;
}

/* Read what has come. Returns 0 when the connection is over. */
static int receive(int fd)
{
    static char buffer[65536];
    char *line, *stop;
    int got;

    if (!SSL_is_init_finished(tls[fd])) {
        got = SSL_connect(tls[fd]);
        if (got != 1) {
            if (!waits(fd, got))
                failTLS("SSL_connect");
            return 1;
        }
    }
    do {
        got = SSL_read(tls[fd], buffer, sizeof buffer);
        if (got <= 0) {
            if (!waits(fd, got))
                failTLS("the server went away");
            return 1;
        }
        for (line = buffer; line < buffer + got; line = stop + 1) {
            stop = memchr(line, '\n', buffer + got - line);
            if (stop == NULL)
                break;
            if (line[3] != '-' && !answer(fd))
                return 0;
        }
    } while (SSL_has_pending(tls[fd]));
    return 1;
}

int main(int argc, char **argv)
{
    struct epoll_event events[256];
    int i, open, ready;

    if (argc != 5) {
        fprintf(stderr, "usage: tlsfloor SESSIONS MESSAGES PORT KEEP\n");
        return 2;
    }
    open = atoi(argv[1]);
    left = atoi(argv[2]);
    server.sin_port = htons(atoi(argv[3]));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    keep = atoi(argv[4]);
    signal(SIGPIPE, SIG_IGN);
    context = SSL_CTX_new(TLS_client_method());
    if (context == NULL)
        failTLS("SSL_CTX_new");
    SSL_CTX_set_read_ahead(context, 1); /* one read(2) for a record, not two */
    epoll = epoll_create1(0);
    for (i = 0; i < open; i++)
        begin();
    while (open > 0) {
        ready = epoll_wait(epoll, events, 256, -1);
        for (i = 0; i < ready; i++) {
            int fd = events[i].data.fd;

            if (receive(fd))
                continue;
            SSL_free(tls[fd]);
            close(fd);
            if (keep || left == 0)
                open--;
            else
                begin();
        }
    }
    return 0;
}
