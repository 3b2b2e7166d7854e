"""Readers of the PC/SC resource manager: winscard, pcsc-lite (PC/SC part 5).

The only file that imports pyscard; its integers and lists stop here. The low-level calls
are used on purpose: a context lives as long as its thread, a card is left powered when a
connection ends, and every return code becomes the one error that names its cause.

| what                                   | here                                        |
|----------------------------------------|---------------------------------------------|
| readers and cards coming and going     | blocking SCardGetStatusChange, one thread   |
| service stopped and started            | NoServiceError, then a fresh context        |
| another program connected as well      | fine: shared connection, short transactions |
| service there and deaf                 | ServiceSilentError, after some seconds      |
| another program holds the card         | ReaderInUseError (at once when exclusive)   |
| card pulled in the middle              | CardRemovedError, asked for, never guessed  |
| a reader with a keypad                 | PC/SC part 10: the PIN never comes here     |
| memory cards                           | pseudo-APDUs, where the reader knows them   |
| contactless cards                      | like any other, with the ATR readers make   |
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from msgspec.structs import replace
from smartcard import scard

from drivers.errors import (
    CardProtocolError,
    CardRemovedError,
    CardResetError,
    DriverError,
    MuteCardError,
    NoCardError,
    NoKeypadError,
    NoReaderError,
    NoServiceError,
    ReaderGoneError,
    ReaderInUseError,
    ReaderTimeoutError,
    ServiceSilentError,
)
from drivers.iso7816.apdu import ApduError, CommandApdu, ResponseApdu
from drivers.iso7816.atr import Atr, AtrError
from drivers.keypad import pcsc_structure, unless_refused
from drivers.ports import (
    DirectoryState,
    Disposition,
    PinEntry,
    PinOperation,
    ReaderStatus,
    SlotState,
)

PNP_NOTIFICATION = "\\\\?PnP?\\Notification"
WATCHDOG_MS = 60_000  # a lost notification costs this much and no more
SERVICE_RETRY_SECONDS = 0.5  # nothing can be blocked on while there is no service
CANCEL_RETRY_SECONDS = 0.05
PULSE_SECONDS = 1.5
DEAF_SECONDS = 2.0
LOOK_SECONDS = 5.0  # a look is a matter of milliseconds, or of for ever
CLOSE_SECONDS = 2.0
STALL_LOOK_SECONDS = 0.5
REMOVAL_NOTICE_MS = 600  # the resource manager itself looks every 400 ms
_GONE = (
    scard.SCARD_STATE_UNKNOWN | scard.SCARD_STATE_UNAVAILABLE | scard.SCARD_STATE_IGNORE
)
Result = TypeVar("Result")
State = tuple[str, int, list[int]]  # of a reader: its name, its event state, its ATR


def _unsigned(code: int) -> int:
    """Return codes are signed on some platforms and unsigned on others."""
    return code & 0xFFFF_FFFF


_ERRORS: dict[int, type[DriverError]] = {
    _unsigned(code): error
    for code, error in (
        (scard.SCARD_E_NO_SERVICE, NoServiceError),
        (scard.SCARD_E_SERVICE_STOPPED, NoServiceError),
        (scard.SCARD_F_COMM_ERROR, NoServiceError),  # between us and the service
        (scard.SCARD_E_INVALID_HANDLE, NoServiceError),  # it died with the service
        (scard.SCARD_E_NO_READERS_AVAILABLE, NoReaderError),
        (scard.SCARD_E_UNKNOWN_READER, ReaderGoneError),
        (scard.SCARD_E_READER_UNAVAILABLE, ReaderGoneError),
        (scard.SCARD_E_SHARING_VIOLATION, ReaderInUseError),
        (scard.SCARD_E_NO_SMARTCARD, NoCardError),
        (scard.SCARD_W_REMOVED_CARD, CardRemovedError),
        (scard.SCARD_W_RESET_CARD, CardResetError),
        (scard.SCARD_W_UNRESPONSIVE_CARD, MuteCardError),
        (scard.SCARD_W_UNPOWERED_CARD, MuteCardError),
        (scard.SCARD_W_UNSUPPORTED_CARD, MuteCardError),
        (
            scard.SCARD_E_PROTO_MISMATCH,
            MuteCardError,
        ),  # its answer to reset made no sense
    )
}
DEAF = DirectoryState(trouble=ServiceSilentError())
# Codes of an exchange that say what happened. Any other, and what a driver below passes up
# as it is, only says that there was no answer.
_NAMED = _ERRORS.keys() - {_unsigned(scard.SCARD_E_INVALID_HANDLE)}
_NOTHING_NEW = {
    _unsigned(scard.SCARD_E_TIMEOUT),
    _unsigned(scard.SCARD_E_CANCELLED),
}
# PC/SC part 10, 2.2: what a reader says it can.
GET_FEATURE_REQUEST = scard.SCARD_CTL_CODE(3400)
FEATURE_LENGTH = 6  # tag, length, control code (4 bytes)
_FEATURES = {0x06: PinOperation.VERIFY, 0x07: PinOperation.MODIFY}
_DISPOSITIONS = {
    Disposition.LEAVE: scard.SCARD_LEAVE_CARD,
    Disposition.RESET: scard.SCARD_RESET_CARD,
}


def _check(code: int) -> None:
    """Raise the error of this return code; return when it is success."""
    if code != scard.SCARD_S_SUCCESS:
        raise _error_of(code)


def _error_of(code: int) -> DriverError:
    error = _ERRORS.get(_unsigned(code), DriverError)
    return error(f"{scard.SCardGetErrorMessage(code)} ({_unsigned(code):08X})")


# pcsc-lite establishes under a mutex of the whole process, and a deaf service keeps it there.
# pyscard frees the list of readers under the same mutex and holds the interpreter's lock
# meanwhile: every thread would stand still. So the two never overlap.
_ESTABLISH_OR_LIST = threading.Lock()


def _establish() -> int:
    with _ESTABLISH_OR_LIST:
        code, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    _check(code)
    return int(context)


@contextlib.contextmanager
def _context() -> Iterator[int]:
    context = _establish()
    try:
        yield context
    finally:
        scard.SCardReleaseContext(context)


def _list_readers(context: int) -> tuple[str, ...]:
    with _ESTABLISH_OR_LIST:
        code, names = scard.SCardListReaders(context, [])
    try:
        _check(code)
    except NoReaderError:
        return ()
    return tuple(names)


def _status(name: str, event_state: int, atr: list[int]) -> ReaderStatus:
    """Our words for what SCardGetStatusChange says of one reader.

    The upper half of the event state counts insertions and removals.
    """
    stay = event_state >> 16 & 0xFFFF
    if not event_state & scard.SCARD_STATE_PRESENT:
        return ReaderStatus(name, SlotState.EMPTY, stay)
    if event_state & scard.SCARD_STATE_MUTE or not _is_atr(bytes(atr)):
        return ReaderStatus(name, SlotState.MUTE, stay)
    return ReaderStatus(name, SlotState.PRESENT, stay, bytes(atr))


def _is_atr(raw: bytes) -> bool:
    try:
        Atr.parse(raw)
    except AtrError:
        return False
    return True


class PcscDirectory:
    """The readers the resource manager knows."""

    def __init__(self) -> None:
        self._closed = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._watching: int | None = None
        self._news: queue.SimpleQueue[DirectoryState | None] = queue.SimpleQueue()

    def look(self) -> DirectoryState:
        """The readers and their slots now; comes back also when the service is deaf."""
        try:
            states = _within(LOOK_SECONDS, _look)
        except DriverError as trouble:
            return DirectoryState(trouble=trouble)
        return _seen(states)

    def watch(self, notice: Callable[[DirectoryState], None]) -> None:
        """Block and tell of every change, through stops and starts of the service, and
        while it is there and deaf."""
        pulse = _Pulse(self._closed)
        self._idle.clear()
        for work in (self._follow, pulse.beat):
            threading.Thread(target=work, name="following pcsc", daemon=True).start()
        seen: DirectoryState | None = None
        told: DirectoryState | None = None
        while not self._closed.is_set():
            with contextlib.suppress(queue.Empty):
                seen = self._news.get(timeout=PULSE_SECONDS / 2)
            now = DEAF if pulse.is_missing else seen
            if now is not None and now != told:
                told = now
                notice(now)

    def _follow(self) -> None:
        """Everything that can be seen, for `watch`."""
        try:
            for state in self._states():
                self._news.put(state)
        finally:
            self._idle.set()

    def _states(self) -> Iterator[DirectoryState]:
        """What can be seen, again and again, each after a wait for something new."""
        while not self._closed.is_set():
            try:
                with _context() as context:
                    self._watching = context
                    yield from self._states_in(context)
            except DriverError as trouble:
                yield DirectoryState(trouble=trouble)
                self._closed.wait(SERVICE_RETRY_SECONDS)

    def _states_in(self, context: int) -> Iterator[DirectoryState]:
        """The same, until the service behind this context goes (DriverError)."""
        known: dict[str, int] = {}
        timeout = 0
        while not self._closed.is_set():
            names = (*_list_readers(context), PNP_NOTIFICATION)
            try:
                states = _changes(
                    context, timeout, [(n, known.get(n, 0)) for n in names]
                )
            except ReaderGoneError:
                continue  # it left between the list and the question: list again
            known = {name: state for name, state, _ in states}
            yield _seen(states)
            timeout = WATCHDOG_MS

    def close(self) -> None:
        """End every watch. A deaf service is not waited for."""
        self._closed.set()
        self._news.put(None)
        threading.Thread(target=self._cancel, daemon=True).start()
        self._idle.wait(CLOSE_SECONDS)

    def _cancel(self) -> None:
        """A cancel that comes before the call it should end is lost, so it is repeated."""
        while not self._idle.wait(CANCEL_RETRY_SECONDS):
            if self._watching is not None:
                scard.SCardCancel(self._watching)

    def reader(self, name: str) -> PcscReader:
        """The reader of that name; its first `connect` finds out whether it is there."""
        return PcscReader(name)


class _Pulse:
    """A question now and then that a service answers at once, or not at all: who waits for
    news does not notice that it has gone deaf."""

    def __init__(self, closed: threading.Event) -> None:
        self._closed = closed
        self._asked: float | None = None

    def beat(self) -> None:
        """Ask, until closed. While there is no answer nothing more is asked."""
        while not self._closed.wait(PULSE_SECONDS):
            self._asked = time.monotonic()
            with contextlib.suppress(DriverError):
                _look()
            self._asked = None

    @property
    def is_missing(self) -> bool:
        """Whether an answer is overdue."""
        asked = self._asked
        return asked is not None and time.monotonic() - asked > DEAF_SECONDS


def _look() -> list[State]:
    with _context() as context:
        names = _list_readers(context)
        return _changes(context, 0, [(name, 0) for name in names])


def _within(seconds: float, call: Callable[[], Result]) -> Result:
    """What `call` returns, or ServiceSilentError when it does not; then its thread is
    abandoned with all that it holds."""
    came: queue.SimpleQueue[Result | DriverError] = queue.SimpleQueue()

    def run() -> None:
        try:
            came.put(call())
        except DriverError as failed:
            came.put(failed)

    threading.Thread(target=run, name="looking", daemon=True).start()
    try:
        found = came.get(timeout=seconds)
    except queue.Empty:
        raise ServiceSilentError from None
    if isinstance(found, DriverError):
        raise found
    return found


def _seen(states: list[State]) -> DirectoryState:
    """The readers among these states: not the one that only tells of new ones, and none
    that is unplugged or that the service has given up."""
    readers = (each for each in states if each[0] != PNP_NOTIFICATION)
    return DirectoryState(
        tuple(_status(*each) for each in readers if not each[1] & _GONE)
    )


def _changes(
    context: int, timeout_ms: int, asked: list[tuple[str, int]]
) -> list[State]:
    """SCardGetStatusChange: waits at most `timeout_ms` for a difference to `asked`.

    What comes back can be asked with: the mark of what changed is taken off.
    """
    code, states = scard.SCardGetStatusChange(context, timeout_ms, asked)
    if _unsigned(code) not in _NOTHING_NEW:
        _check(code)
    return [
        (name, state & ~scard.SCARD_STATE_CHANGED, atr) for name, state, atr in states
    ]


class PcscReader:
    """One slot, and the context of the thread that owns it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._context: int | None = None
        self._in_transaction_call = False

    def connect(self) -> PcscConnection:
        """Power the card and share it with whoever else is connected."""
        try:
            return self._connect(self._kept_context())
        except NoServiceError:
            self.close()  # the context may have died with a service that is back by now
            return self._connect(self._kept_context())
        except MuteCardError:
            if isinstance(self.cause_of_silence(), CardRemovedError):
                raise NoCardError from None  # it was just being pulled
            raise

    def _connect(self, context: int) -> PcscConnection:
        code, handle, protocol = scard.SCardConnect(
            context,
            self.name,
            scard.SCARD_SHARE_SHARED,
            scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1,
        )
        _check(code)
        return PcscConnection(self, handle, protocol)

    def stalled(self) -> DriverError:
        """Why a call has not come back. The resource manager lets everybody wait while
        another program has a transaction. From another thread."""
        if self._in_transaction_call:
            return ReaderInUseError()
        try:
            states = _within(STALL_LOOK_SECONDS, _look)
        except DriverError as trouble:
            return trouble
        busy = scard.SCARD_STATE_INUSE | scard.SCARD_STATE_EXCLUSIVE
        ours = (state for name, state, _ in states if name == self.name)
        return ReaderInUseError() if next(ours, 0) & busy else ReaderTimeoutError()

    def close(self) -> None:
        """Give the context back."""
        if self._context is not None:
            scard.SCardReleaseContext(self._context)
            self._context = None

    def begin(self, handle: int) -> None:
        """SCardBeginTransaction: blocks for as long as another program has one."""
        self._in_transaction_call = True
        code = scard.SCardBeginTransaction(handle)
        self._in_transaction_call = False
        _check(code)

    def cause_of_silence(self, code: str = "") -> DriverError:
        """Why an exchange brought nothing but this return code. The resource manager may notice a pulled card
        only at its next look, so it is given the time for one."""
        try:
            context = self._kept_context()
            known = 0
            for wait in (0, REMOVAL_NOTICE_MS, REMOVAL_NOTICE_MS // 10):
                ((_, known, _),) = _changes(context, wait, [(self.name, known)])
                if known & _GONE:
                    return ReaderGoneError()
                if not known & scard.SCARD_STATE_PRESENT:
                    return CardRemovedError()
        except DriverError as trouble:
            return trouble
        return CardProtocolError(f"the card stopped answering {code}".rstrip())

    def _kept_context(self) -> int:
        """One for all connections of this thread."""
        if self._context is None:
            self._context = _establish()
        return self._context


class PcscConnection:
    """A connected card."""

    def __init__(self, reader: PcscReader, handle: int, protocol: int) -> None:
        self._reader = reader
        self._handle = handle
        self._lost = False
        self._pci = (
            scard.SCARD_PCI_T1
            if protocol == scard.SCARD_PROTOCOL_T1
            else scard.SCARD_PCI_T0
        )

    @property
    def atr(self) -> bytes:
        """The answer to reset, as the resource manager keeps it."""
        code, _, _, _, atr = scard.SCardStatus(self._handle)
        _check(code)
        return bytes(atr)

    def transmit(self, command: CommandApdu) -> ResponseApdu:
        """One exchange. Raises the error that names why there was none."""
        if self._pci == scard.SCARD_PCI_T0 and command.data and command.ne:
            command = replace(
                command, ne=None
            )  # T=0 has no Le behind data: 61xx follows
        code, answer = scard.SCardTransmit(
            self._handle, self._pci, list(bytes(command))
        )
        return self._response(code, answer)

    def keypad(self) -> frozenset[PinOperation]:
        """What the reader says it can (PC/SC part 10, 2.2)."""
        return frozenset(self._features())

    def enter_pin(self, entry: PinEntry) -> ResponseApdu:
        """FEATURE_VERIFY_PIN_DIRECT or FEATURE_MODIFY_PIN_DIRECT."""
        control = self._features().get(entry.operation)
        if control is None:
            raise NoKeypadError
        asked = list(pcsc_structure(entry))
        code, answer = scard.SCardControl(self._handle, control, asked)
        return unless_refused(self._response(code, answer))

    def _features(self) -> dict[PinOperation, int]:
        """The control codes of this reader's operations."""
        code, answer = scard.SCardControl(self._handle, GET_FEATURE_REQUEST, [])
        if code != scard.SCARD_S_SUCCESS:
            return {}  # many drivers know no features
        said = bytes(answer)
        each = (
            said[at : at + FEATURE_LENGTH] for at in range(0, len(said), FEATURE_LENGTH)
        )
        return {
            _FEATURES[tag]: int.from_bytes(control, "big")
            for tag, _, *control in each
            if tag in _FEATURES
        }

    def _response(self, code: int, answer: list[int]) -> ResponseApdu:
        if code == scard.SCARD_S_SUCCESS and answer:
            try:
                return ResponseApdu.parse(bytes(answer))
            except ApduError as wrong:
                raise CardProtocolError(str(wrong)) from wrong
        cause = self._cause(code)
        self._lost = isinstance(cause, CardRemovedError)
        raise cause

    def _cause(self, code: int) -> DriverError:
        """Why there was no answer."""
        if _unsigned(code) not in _NAMED:
            return self._reader.cause_of_silence(f"{_unsigned(code):08X}")
        named = _error_of(code)
        if isinstance(named, NoCardError):  # it was there when the exchange began
            self._reader.cause_of_silence()  # until that is seen by everybody
            return CardRemovedError(str(named))
        return named

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[None]:
        """A transaction, ended leaving the card as it is."""
        self._reader.begin(self._handle)
        try:
            yield
        finally:
            scard.SCardEndTransaction(self._handle, scard.SCARD_LEAVE_CARD)

    def close(self, disposition: Disposition = Disposition.LEAVE) -> None:
        """Disconnect. After a card has left nothing is reset: pcscd would take the slot for
        one with a silent card, and not notice the next."""
        if self._lost:
            disposition = Disposition.LEAVE
        scard.SCardDisconnect(self._handle, _DISPOSITIONS[disposition])
