/* The floor under the serial driver: the same work in C on a line of its own.
 *
 *   floor_serial PORT
 *
 * Speaks to a reader that echoes. Asked by lines on standard input, answers by lines:
 *
 *   apdus N    one basic read, then READ RECORD (20 bytes) N times -> nanoseconds
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 10, FRAME_MAX = 274, POWER_ON = 0x62, XFR_BLOCK = 0x6F, WAIT_MS = 5000 };

static const unsigned char SSSE[] = {0x73, 0x78, 0x31, 0x2E, 0x73, 0x68, 0x2E, 0xC9,
                                     0xE7, 0xBB, 0xE1, 0xB1, 0xA3, 0xD5, 0xCF};
static const unsigned char FIRST_VOLTAGE = 0x01, NUMBER = 0x08, NUMBER_LENGTH = 20;
static int port;
static unsigned char sequence;

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static size_t read_some(unsigned char *into, size_t room) {
    struct pollfd ready = {.fd = port, .events = POLLIN};
    if (poll(&ready, 1, WAIT_MS) != 1) fail("silence");
    ssize_t got = read(port, into, room);
    if (got <= 0) fail("read");
    return (size_t)got;
}

/* One command, its echo and its answer; returns the length of the answer's data. */
static size_t exchange(int kind, const unsigned char *data, size_t length, int specific) {
    unsigned char frame[FRAME_MAX] = {0x03, 0x06, kind, length & 0xFF, length >> 8};
    unsigned char came[3 * FRAME_MAX];
    size_t size = 2 + HEADER + length, held = 0, wanted = size + 1 + 2 + HEADER + 1;
    frame[8] = ++sequence;
    frame[9] = specific;
    memcpy(frame + 2 + HEADER, data, length);
    for (size_t i = 0; i < size; i++) frame[size] ^= frame[i];
    if (write(port, frame, size + 1) != (ssize_t)(size + 1)) fail("write");
    while (held < wanted) {
        held += read_some(came + held, sizeof came - held);
        if (held > size + 6) {
            const unsigned char *answer = came + size + 1;
            wanted = size + 1 + 2 + HEADER + answer[3] + 256 * answer[4] + 1;
        }
    }
    if (memcmp(came, frame, size + 1) != 0 || came[size + 1 + 8] != sequence) fail("echo");
    if (came[size + 1 + 9] != 0) fail("status");
    return held - (size + 1) - (2 + HEADER) - 1;
}

static void transmit(const unsigned char *command, size_t length, size_t wanted) {
    if (exchange(XFR_BLOCK, command, length, 0) < wanted + 2) fail("short answer");
}

static void basic_read(void) {
    unsigned char application[5 + sizeof SSSE] = {0x00, 0xA4, 0x04, 0x00, sizeof SSSE};
    unsigned char file[] = {0x00, 0xA4, 0x02, 0x00, 0x02, 0xEF, 0x06};
    memcpy(application + 5, SSSE, sizeof SSSE);
    exchange(POWER_ON, NULL, 0, FIRST_VOLTAGE);
    transmit(application, sizeof application, 0);
    transmit(file, sizeof file, 0);
}

static void read_number(void) {
    unsigned char command[] = {0x00, 0xB2, NUMBER, 0x00, NUMBER_LENGTH};
    transmit(command, sizeof command, NUMBER_LENGTH);
}

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int argc, char **argv) {
    char line[64];
    long count;
    struct termios raw;
    if (argc != 2) return 2;
    port = open(argv[1], O_RDWR | O_NOCTTY);
    if (port < 0 || tcgetattr(port, &raw) != 0) fail(argv[1]);
    cfmakeraw(&raw);
    if (tcsetattr(port, TCSAFLUSH, &raw) != 0) fail("raw");
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "apdus %ld", &count) != 1) return 2;
        long long began = now();
        basic_read();
        for (long i = 0; i < count; i++) read_number();
        printf("%lld\n", now() - began);
        fflush(stdout);
    }
    return 0;
}
