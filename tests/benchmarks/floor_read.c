/* The floor under the PC/SC driver: the same work in C, with nothing around it.
 *
 *   floor_read READER P2
 *
 * P2 is that of SELECT: 00, or 0C for a card that cannot return its FCI. Asked by lines on
 * standard input, answers by lines:
 *
 *   present    wait for a card              -> present
 *   reads N    N basic reads, each from connect to disconnect      -> nanoseconds
 *   apdus N    one basic read, then READ RECORD (20 bytes) N times -> nanoseconds
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <winscard.h>

enum { EF_ISSUER = 0xEF05, EF_HOLDER = 0xEF06, HOLDER_NUMBER = 0x08 };
enum { PRESENT_MS = 1000, PRESENT_TRIES = 10 };

typedef struct {
    BYTE tag, length;
} field;

static const BYTE SSSE[] = {0x73, 0x78, 0x31, 0x2E, 0x73, 0x68, 0x2E, 0xC9,
                            0xE7, 0xBB, 0xE1, 0xB1, 0xA3, 0xD5, 0xCF};
static const field ISSUER[] = {{0x01, 16}, {0x02, 1}, {0x03, 4}, {0x04, 12},
                               {0x05, 4},  {0x06, 4}, {0x07, 9}};
static const field HOLDER[] = {{HOLDER_NUMBER, 18}, {0x09, 30}, {0x0A, 1},
                               {0x0B, 1},           {0x0C, 3},  {0x0D, 4}};

static SCARDCONTEXT context;
static SCARDHANDLE card;
static const SCARD_IO_REQUEST *protocol;
static const char *reader;
static BYTE select_p2;

static void fail(const char *what, LONG code) {
    fprintf(stderr, "%s: %s (%08lX)\n", what, pcsc_stringify_error(code), (unsigned long)code);
    exit(1);
}

static void must(const char *what, LONG code) {
    if (code != SCARD_S_SUCCESS) fail(what, code);
}

static void transmit(const BYTE *command, DWORD length, DWORD wanted) {
    BYTE answer[258];
    DWORD got = sizeof answer;
    must("transmit", SCardTransmit(card, protocol, command, length, NULL, answer, &got));
    if (got < wanted + 2 || answer[got - 2] != 0x90 || answer[got - 1] != 0x00)
        fail("unexpected answer", SCARD_F_INTERNAL_ERROR);
}

static void select_application(void) {
    BYTE command[5 + sizeof SSSE] = {0x00, 0xA4, 0x04, select_p2, sizeof SSSE};
    memcpy(command + 5, SSSE, sizeof SSSE);
    transmit(command, sizeof command, 0);
}

static void select_file(int identifier) {
    BYTE command[] = {0x00, 0xA4, 0x02, select_p2, 2, identifier >> 8, identifier & 0xFF};
    transmit(command, sizeof command, 0);
}

static void read_record(field wanted) {
    BYTE command[] = {0x00, 0xB2, wanted.tag, 0x00, wanted.length + 2};
    transmit(command, sizeof command, wanted.length + 2);
}

static void connect_card(void) {
    DWORD active;
    must("connect", SCardConnect(context, reader, SCARD_SHARE_SHARED,
                                 SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1, &card, &active));
    protocol = active == SCARD_PROTOCOL_T1 ? SCARD_PCI_T1 : SCARD_PCI_T0;
}

static void disconnect_card(void) { SCardDisconnect(card, SCARD_LEAVE_CARD); }

static void read_card(void) {
    select_application();
    select_file(EF_ISSUER);
    for (size_t i = 0; i < sizeof ISSUER / sizeof *ISSUER; i++) read_record(ISSUER[i]);
    select_file(EF_HOLDER);
    for (size_t i = 0; i < sizeof HOLDER / sizeof *HOLDER; i++) read_record(HOLDER[i]);
}

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void present(void) {
    SCARD_READERSTATE state = {.szReader = reader, .dwCurrentState = SCARD_STATE_UNAWARE};
    for (int tries = 0; tries < PRESENT_TRIES; tries++) {
        LONG code = SCardGetStatusChange(context, PRESENT_MS, &state, 1);
        if (code != SCARD_E_TIMEOUT) must("status", code);
        if (state.dwEventState & SCARD_STATE_PRESENT && state.cbAtr > 0) {
            puts("present");
            return;
        }
        state.dwCurrentState = state.dwEventState;
    }
    fail("no card", SCARD_E_NO_SMARTCARD);
}

static void apdus(long count) {
    connect_card();
    read_card();
    for (long i = 0; i < count; i++) read_record(HOLDER[0]);
    disconnect_card();
}

static void reads(long count) {
    for (long i = 0; i < count; i++) {
        connect_card();
        read_card();
        disconnect_card();
    }
}

static void timed(void (*work)(long), long count) {
    long long began = now();
    work(count);
    printf("%lld\n", now() - began);
}

int main(int argc, char **argv) {
    char line[64];
    long count;
    if (argc != 3) return 2;
    reader = argv[1];
    select_p2 = (BYTE)strtol(argv[2], NULL, 16);
    must("context", SCardEstablishContext(SCARD_SCOPE_USER, NULL, NULL, &context));
    while (fgets(line, sizeof line, stdin)) {
        if (strcmp(line, "present\n") == 0)
            present();
        else if (sscanf(line, "apdus %ld", &count) == 1)
            timed(apdus, count);
        else if (sscanf(line, "reads %ld", &count) == 1)
            timed(reads, count);
        else
            return 2;
        fflush(stdout);
    }
    SCardReleaseContext(context);
    return 0;
}
