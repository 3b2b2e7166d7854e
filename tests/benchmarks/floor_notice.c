/* The floor under the notice of a card: a program that does nothing but wait for it.
 *
 *   floor_notice READER
 *
 * Prints "in NS" or "out NS", nanoseconds of CLOCK_MONOTONIC, the moment
 * SCardGetStatusChange returns with a card that answered to reset, or without a card; once
 * at the start and after every change. Ends when its standard input does.
 */
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <winscard.h>

enum { LOOK_AT_INPUT_MS = 1000 };

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int input_has_ended(void) {
    struct pollfd input = {.fd = 0, .events = POLLIN};
    return poll(&input, 1, 0) > 0;
}

int main(int argc, char **argv) {
    SCARDCONTEXT context;
    int told = -1;
    if (argc != 2) return 2;
    SCARD_READERSTATE state = {.szReader = argv[1], .dwCurrentState = SCARD_STATE_UNAWARE};
    if (SCardEstablishContext(SCARD_SCOPE_USER, NULL, NULL, &context) != SCARD_S_SUCCESS)
        return 1;
    while (!input_has_ended()) {
        LONG code = SCardGetStatusChange(context, LOOK_AT_INPUT_MS, &state, 1);
        long long at = now();
        if (code == SCARD_E_TIMEOUT) continue;
        if (code != SCARD_S_SUCCESS) return 1;
        int in = state.dwEventState & SCARD_STATE_PRESENT && state.cbAtr > 0;
        state.dwCurrentState = state.dwEventState;
        if (in == told) continue;
        told = in;
        printf("%s %lld\n", in ? "in" : "out", at);
        fflush(stdout);
    }
    SCardReleaseContext(context);
    return 0;
}
