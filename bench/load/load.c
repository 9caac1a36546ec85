/* load: sends messages to an SMTP server on this machine as fast as it takes them, and prints one JSON line about it.
 *
 * One thread and one epoll loop drive all sessions; a session is one connection after another. It is strict: each
 * command has one legal reply code, anything else (another code, a closed connection, a line without CRLF, a reply that
 * nobody asked for) counts as an error, costs one message, and makes the session connect anew. So a run ends after
 * `messages` were accepted or failed, or at the time limit, whichever comes first.
 *
 * Latency is the time from just before the write that carries the final dot to the arrival of the reply to it; that of
 * any reply, from just before the write that it answers (the last of them, where a reply answers several).
 * Exit: 0 all messages accepted and no error, 1 otherwise, 2 bad usage. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LINE_ROOM = 4096, COMMAND_ROOM = 256, MAX_AWAITED = 4, MAILBOXES = 100, EVENTS = 256, TICK_MS = 50 };
enum step { GREETING, EHLO, MAIL, RCPT, DATA, CONTENT, QUIT };
static const struct { const char *name, *code; } STEPS[] = {
    {"greeting", "220"}, {"EHLO", "250"}, {"MAIL", "250"},   {"RCPT", "250"},
    {"DATA", "354"},     {"content", "250"}, {"QUIT", "221"}};

static struct {
    int port, sessions;
    long messages, per_connection; /* per_connection 0: all on one connection */
    size_t size_bytes;             /* header and body, without the final dot */
    double limit_s;
    bool pipelined;                /* MAIL, RCPT and DATA in one write (RFC 2920) */
} want = {.sessions = 1, .messages = 1, .size_bytes = 2048, .limit_s = 60};

struct session {
    int fd;
    bool in_transaction, wants_write, ends_content;
    long sent;   /* messages begun on this connection */
    long number; /* of the message in hand, in the whole run */
    enum step awaited[MAX_AWAITED];
    int awaiting;
    double dot_at_s, said_at_s;
    size_t in_len, out_len, out_sent;
    char in[LINE_ROOM];
    char *out;
};

static int poller, live;
static long begun, accepted, errors, connections;
static char first_error[160];
static double started_s, last_reply_s;
static float *latency_ms, *reply_ms; /* to final dots; to everything but QUIT */
static long replies;
static char *content; /* what each message consists of, with the final dot */
static size_t content_len, number_at;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void note_error(const char *where, const char *what) {
    if (errors++ == 0)
        snprintf(first_error, sizeof first_error, "%s: %s", where, what);
    for (char *c = first_error; *c; c++) /* it goes into a JSON string */
        if (*c == '"' || *c == '\\' || *c < ' ' || *c > '~')
            *c = '?';
}

/* --- connections ------------------------------------------------------------------------------------------------- */

static void watch(struct session *s, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = s};
    epoll_ctl(poller, operation, s->fd, &event);
}

static bool dial(struct session *s) {
    struct sockaddr_in server = {.sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)want.port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        return false;
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(s->fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS) {
        int cause = errno;
        close(s->fd);
        errno = cause;
        return false;
    }
    s->in_transaction = s->wants_write = s->ends_content = false;
    s->sent = 0;
    s->in_len = s->out_len = s->out_sent = 0;
    s->awaited[0] = GREETING;
    s->awaiting = 1;
    connections++;
    watch(s, EPOLL_CTL_ADD, EPOLLIN);
    return true;
}

/* The session's next connection, as long as there is something left to send. A refused one costs a message. */
static void connect_again(struct session *s) {
    for (; begun < want.messages; begun++) {
        if (dial(s))
            return;
        note_error("connect", strerror(errno));
    }
    s->fd = -1;
    live--;
}

static bool hang_up(struct session *s) {
    close(s->fd);
    connect_again(s);
    return false;
}

static bool fail(struct session *s, const char *what) {
    note_error(s->awaiting ? STEPS[s->awaited[0]].name : "unasked reply", what);
    if (!s->in_transaction)
        begun++;
    return hang_up(s);
}

/* --- the dialogue; a function that returns bool says whether this connection goes on ------------------------------- */

static void say(struct session *s, enum step step, const char *text, size_t len) {
    memcpy(s->out + s->out_len, text, len);
    s->out_len += len;
    s->awaited[s->awaiting++] = step;
}

static void say_line(struct session *s, enum step step, const char *line) {
    say(s, step, line, strlen(line));
}

static void say_rcpt(struct session *s) {
    char line[64];
    snprintf(line, sizeof line, "RCPT TO:<user%ld@example.test>\r\n", s->number % MAILBOXES);
    say_line(s, RCPT, line);
}

static void say_content(struct session *s) {
    char number[32];
    snprintf(number, sizeof number, "%010ld", s->number);
    memcpy(content + number_at, number, 10);
    say(s, CONTENT, content, content_len);
    s->ends_content = true;
}

static void next_message(struct session *s) {
    s->in_transaction = begun < want.messages && (want.per_connection == 0 || s->sent < want.per_connection);
    if (!s->in_transaction) {
        say_line(s, QUIT, "QUIT\r\n");
        return;
    }
    s->number = begun++;
    s->sent++;
    say_line(s, MAIL, "MAIL FROM:<sender@load.test>\r\n");
    if (want.pipelined) {
        say_rcpt(s);
        say_line(s, DATA, "DATA\r\n");
    }
}

static void count_accepted(struct session *s) {
    last_reply_s = now();
    latency_ms[accepted++] = (float)((last_reply_s - s->dot_at_s) * 1e3);
}

static void count_reply(struct session *s) {
    enum { STEP = 65536 };
    if (replies % STEP == 0)
        reply_ms = realloc(reply_ms, (size_t)(replies + STEP) * sizeof *reply_ms);
    reply_ms[replies++] = (float)((now() - s->said_at_s) * 1e3);
}

static bool on_line(struct session *s, const char *line) {
    if (s->awaiting == 0 || strncmp(line, STEPS[s->awaited[0]].code, 3) != 0)
        return fail(s, line);
    if (s->ends_content) /* the only reply that could come now would be one to a message that is not sent yet */
        return fail(s, "a reply before the end of the content");
    if (line[3] == '-')
        return true;
    enum step step = s->awaited[0];
    memmove(s->awaited, s->awaited + 1, sizeof s->awaited[0] * (size_t)--s->awaiting);
    if (step != GREETING && step != QUIT)
        count_reply(s);
    switch (step) {
    case GREETING: say_line(s, EHLO, "EHLO load.test\r\n"); break;
    case EHLO: next_message(s); break;
    case MAIL: if (!want.pipelined) say_rcpt(s); break;
    case RCPT: if (!want.pipelined) say_line(s, DATA, "DATA\r\n"); break;
    case DATA: say_content(s); break;
    case CONTENT: count_accepted(s); next_message(s); break;
    case QUIT: return hang_up(s);
    }
    return true;
}

/* --- input and output --------------------------------------------------------------------------------------------- */

static bool flush(struct session *s) {
    double before_s = 0;
    while (s->out_sent < s->out_len) {
        before_s = now();
        ssize_t n = send(s->fd, s->out + s->out_sent, s->out_len - s->out_sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return fail(s, strerror(errno));
        if (n < 0) {
            if (!s->wants_write)
                watch(s, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            s->wants_write = true;
            return true;
        }
        s->out_sent += (size_t)n;
    }
    if (s->wants_write)
        watch(s, EPOLL_CTL_MOD, EPOLLIN);
    if (s->out_len)
        s->said_at_s = before_s;
    if (s->ends_content && s->out_len)
        s->dot_at_s = before_s;
    s->wants_write = s->ends_content = false;
    s->out_len = s->out_sent = 0;
    return true;
}

static bool receive(struct session *s) {
    ssize_t n = recv(s->fd, s->in + s->in_len, sizeof s->in - s->in_len, 0);
    if (n < 0 && errno == EAGAIN)
        return true;
    if (n <= 0)
        return fail(s, n < 0 ? strerror(errno) : "connection closed");
    s->in_len += (size_t)n;
    char *line = s->in, *end;
    while ((end = memchr(line, '\n', s->in_len - (size_t)(line - s->in)))) {
        if (end - line < 4 || end[-1] != '\r')
            return fail(s, "not a reply line");
        end[-1] = 0;
        if (!on_line(s, line))
            return false;
        line = end + 1;
    }
    s->in_len -= (size_t)(line - s->in);
    memmove(s->in, line, s->in_len);
    return s->in_len < sizeof s->in || fail(s, "a line without end");
}

/* --- set-up and report -------------------------------------------------------------------------------------------- */

static void compose(void) {
    static const char head[] = "Message-ID: <0000000000.load@load.test>\r\nFrom: <sender@load.test>\r\n"
                               "To: <user@example.test>\r\nDate: Mon, 01 Jan 2024 00:00:00 +0000\r\n"
                               "Subject: One of many\r\n\r\n";
    enum { LINE = 72 };
    if (want.size_bytes < sizeof head + 2) {
        fprintf(stderr, "load: -b must be at least %zu\n", sizeof head + 2);
        exit(2);
    }
    content = malloc(want.size_bytes + 4);
    memcpy(content, head, sizeof head - 1);
    for (size_t i = sizeof head - 1; i < want.size_bytes; i++)
        content[i] = (char)('a' + i % 26);
    for (size_t i = sizeof head - 1 + LINE; i + 4 < want.size_bytes; i += LINE)
        memcpy(content + i, "\r\n", 2);
    memcpy(content + want.size_bytes - 2, "\r\n.\r\n", 5);
    content_len = want.size_bytes + 3;
    number_at = strlen("Message-ID: <");
}

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double percentile(const float *sorted_ms, long count, double share) {
    long rank = (long)(share * (double)count);
    return count ? sorted_ms[rank < count ? rank : count - 1] : 0;
}

static void report(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu_s = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                   (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    double seconds = last_reply_s - started_s;
    qsort(latency_ms, (size_t)accepted, sizeof *latency_ms, by_value);
    qsort(reply_ms, (size_t)replies, sizeof *reply_ms, by_value);
    printf("{\"messages\": %ld, \"seconds\": %.4f, \"rate\": %.2f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, "
           "\"max_ms\": %.3f, \"reply_p99_ms\": %.3f, \"connections\": %ld, \"cpu_s\": %.4f, \"errors\": %ld, "
           "\"first_error\": \"%s\"}\n",
           accepted, seconds, seconds > 0 ? (double)accepted / seconds : 0, percentile(latency_ms, accepted, 0.5),
           percentile(latency_ms, accepted, 0.99), percentile(latency_ms, accepted, 1),
           percentile(reply_ms, replies, 0.99), connections, cpu_s, errors, first_error);
}

static void usage(void) {
    fprintf(stderr, "usage: load -p PORT [-s SESSIONS] [-m MESSAGES] [-c MESSAGES_A_CONNECTION (0: all)]\n"
                    "            [-b BYTES_A_MESSAGE] [-t LIMIT_SECONDS] [-P]\n"
                    "-P sends MAIL, RCPT and DATA in one write\n");
    exit(2);
}

static void parse(int argc, char **argv) {
    for (int option; (option = getopt(argc, argv, "p:s:m:c:b:t:P")) != -1;)
        switch (option) {
        case 'p': want.port = atoi(optarg); break;
        case 's': want.sessions = atoi(optarg); break;
        case 'm': want.messages = atol(optarg); break;
        case 'c': want.per_connection = atol(optarg); break;
        case 'b': want.size_bytes = strtoul(optarg, NULL, 10); break;
        case 't': want.limit_s = atof(optarg); break;
        case 'P': want.pipelined = true; break;
        default: usage();
        }
    if (want.port < 1 || want.sessions < 1 || want.messages < 1 || want.per_connection < 0 || want.limit_s <= 0)
        usage();
}

int main(int argc, char **argv) {
    parse(argc, argv);
    compose();
    live = want.messages < want.sessions ? (int)want.messages : want.sessions;
    struct session *sessions = calloc((size_t)live, sizeof *sessions);
    latency_ms = calloc((size_t)want.messages, sizeof *latency_ms);
    poller = epoll_create1(EPOLL_CLOEXEC);
    started_s = last_reply_s = now();
    for (int i = live - 1; i >= 0; i--) {
        sessions[i].out = malloc(content_len + COMMAND_ROOM);
        connect_again(&sessions[i]);
    }
    while (live > 0) {
        if (now() - started_s > want.limit_s) {
            note_error("time limit", "reached before the last reply");
            break;
        }
        struct epoll_event events[EVENTS];
        int count = epoll_wait(poller, events, EVENTS, TICK_MS);
        for (int i = 0; i < count; i++) {
            struct session *s = events[i].data.ptr;
            bool is_readable = events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR);
            if (!is_readable || receive(s))
                flush(s);
        }
    }
    report();
    return errors == 0 && accepted == want.messages ? 0 : 1;
}
