"""`kaqi demo`: everything at once and nothing of it real. A pharmacy activates a card, a
hospital registers a visit, and then the agent stays for whoever wants to try."""

from __future__ import annotations

import shlex
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from plugin.activation.problem import Problem
from plugin.client import Kaqi, Transaction
from plugin.commands import console, screen, serve
from plugin.commands.activate import as_text
from plugin.commands.failing import CannotError
from plugin.commands.serve import Options, Serving

HOSPITAL_READER = "Simulated reader 1"
READERS_ARE = {
    "pcsc": {
        "zh-CN": "两个读卡器接在真实的 pcscd 之后（vpcd 监听所有网络接口，仅在演示期间开启）",
        "en": "Two readers are behind the real pcscd (vpcd listens on all "
        "interfaces, and only while this demo runs)",
    },
    "twin": {
        "zh-CN": "串口读卡器（伪终端）接在真实的 pcscd 和 libccidtwin 之后",
        "en": "Serial readers on pseudo-terminals are behind the real pcscd with libccidtwin",
    },
    "serial": {
        "zh-CN": "两个芯片读卡器和一个磁条读卡器接在串口上（伪终端）",
        "en": "Two chip readers and one for magnetic stripes are on serial lines "
        "(pseudo-terminals)",
    },
    "inprocess": {
        "zh-CN": "按要求只用进程内的读卡器",
        "en": "As asked, only in-process readers are used",
    },
}
CODE_SECONDS = 1_800  # whoever opens the page has read what is above it first
STORY_SECONDS = 60.0
PAUSE_SECONDS = 0.02
SCOPES = ("read", "activate", "identity", "simulate")


def run(*, port: int | None, once: bool, kinds: tuple[str, ...], missing: str) -> int:
    """Tell the story; stay serving unless `once`. `missing` says why there is no real
    resource manager, when there is none."""
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="kaqi-demo-"))
        )
        options = Options(data=folder, port=port, simulate=True, reader_kinds=kinds)
        began = time.monotonic()
        _title("kaqi 演示：以下一切都是模拟的", "kaqi demo: nothing below is real")
        serving = stack.enter_context(serve.prepared(options))
        thread = serving.server.run_beside()
        stack.callback(thread.join)
        stack.callback(serving.server.stop)
        _describe(kinds, missing, time.monotonic() - began)
        token = serving.folder.pair("demo-pos", SCOPES)
        try:
            Story(serving, token).tell()
            _clear(serving, token)
            _invite(serving, token)
            _open(serving, shlex.join(command()))
            if not once:
                thread.join()
        except KeyboardInterrupt:
            screen.line()
    return 0


class Story:
    """The two scenes, played through the localhost API as a POS would."""

    def __init__(self, serving: Serving, token: str) -> None:
        assert serving.hand is not None  # noqa: S101 - a demo simulates
        self._hand = serving.hand
        self._kaqi = Kaqi(token=token, address=f"127.0.0.1:{serving.port}")
        self._deadline = time.monotonic() + STORY_SECONDS

    def tell(self) -> None:
        """Both scenes."""
        first, second = self._pharmacy_readers()
        _title(
            "一、药店：旧医保卡，然后社会保障卡", "1. Pharmacy: old card, then new card"
        )
        self._play(
            "pharmacy",
            [first, second],
            {
                "waiting_card.medical": lambda: self._insert("lin.medical", first),
                "waiting_card.social_security": lambda: self._insert(
                    "lin.social_security", second
                ),
            },
        )
        _title(
            "二、医院：挂号，只用社会保障卡",
            "2. Hospital: registration, new card alone",
        )
        self._play(
            "outpatient_registration",
            [HOSPITAL_READER],
            {
                "waiting_card.social_security": lambda: self._insert(
                    "he.social_security", HOSPITAL_READER
                )
            },
        )

    def _pharmacy_readers(self) -> tuple[str, str]:
        first, second = self._hand.readers()[:2]
        return first, second

    def _play(
        self, scenario: str, readers: list[str], moves: dict[str, Callable[[], None]]
    ) -> None:
        """Start, show every step, move the cards when told to, confirm, take them out."""
        ids = self._reader_ids(readers)
        now = self._kaqi.start(scenario, pos_ref=f"demo-{scenario}", readers=ids)
        shown = ""
        while not now.ended:
            text = as_text(now)
            if text != shown:
                screen.line(text)
                shown = text
            now = self._next(now, moves)
        screen.line(as_text(now))
        for reader in readers:
            self._hand.remove(reader)
        self._until_nothing_is_in()

    def _next(
        self, now: Transaction, moves: dict[str, Callable[[], None]]
    ) -> Transaction:
        key = now.data["step"]["key"]
        if key in moves:
            moves.pop(key)()
        if "confirm" in now.allowed_actions:
            screen.line("   … 营业员按下“确认” / the clerk confirms")
            return self._kaqi.confirm(now)
        if time.monotonic() > self._deadline:
            raise CannotError(Problem("agent.failed"))
        return self._kaqi.next(now, seconds=5)

    def _insert(self, card: str, reader: str) -> None:
        screen.line(f"   … {card} → {reader}")
        self._hand.insert(card, reader)

    def _reader_ids(self, names: list[str]) -> list[str]:
        """Readers are noticed within a moment of the agent's start."""
        known: dict[str, str] = {}

        def all_there() -> bool:
            known.update((each["name"], each["id"]) for each in self._kaqi.readers())
            return all(name in known for name in names)

        self._wait_until(all_there, Problem("reader.none"))
        return [known[name] for name in names]

    def _until_nothing_is_in(self) -> None:
        """A card that is taken out is noticed within a moment, too."""
        self._wait_until(
            lambda: (
                not any(
                    each["card"] and each["role"] == "patient"
                    for each in self._kaqi.readers()
                )
            ),
            Problem("card.left_in_reader"),
        )

    def _wait_until(self, satisfied: Callable[[], bool], otherwise: Problem) -> None:
        pause = threading.Event()
        while not satisfied():
            if time.monotonic() > self._deadline:
                raise CannotError(otherwise)
            pause.wait(PAUSE_SECONDS)


def command() -> list[str]:
    """How this program was called."""
    called = sys.argv[0]
    return [called] if Path(called).stem == "kaqi" else [sys.executable, "-m", "plugin"]


def _title(chinese: str, english: str) -> None:
    text = screen.said({"zh-CN": chinese, "en": english})
    screen.line(f"\n=== {text} ===\n")


def _describe(kinds: tuple[str, ...], missing: str, seconds: float) -> None:
    readers = READERS_ARE[kinds[0]]
    if missing:
        readers = {
            "zh-CN": f"没有 {missing}，只用进程内的读卡器",
            "en": f"Without {missing} only in-process readers are used",
        }
    ready = {"zh-CN": f"{seconds:.1f} 秒后就绪", "en": f"ready after {seconds:.1f} s"}
    screen.line(screen.said(readers))
    screen.line(screen.said(ready))


def _clear(serving: Serving, token: str) -> None:
    """Whoever tries it now finds everybody's card as it was before the story."""
    Kaqi(token=token, address=f"127.0.0.1:{serving.port}").call(
        "POST", "/v1/simulate/reset", {}
    )


def _invite(serving: Serving, token: str) -> None:
    """Three lines to paste."""
    ids = {
        each["name"]: each["id"]
        for each in Kaqi(token=token, address=f"127.0.0.1:{serving.port}").readers()
    }
    reader = ids[HOSPITAL_READER]
    auth = f"-H 'Authorization: Bearer {token}'"
    kind = "-H 'Content-Type: application/json'"
    _title("自己试试：在另一个终端粘贴", "Try it: paste these in another terminal")
    order = '{"kind":"activation","scenario":"outpatient_registration"}'
    screen.line(
        f'curl -s {auth} {kind} -H "Idempotency-Key: $(date +%s%N)" '
        f"-d '{order}' {serving.address}/v1/transactions"
    )
    screen.line(
        f'curl -s {auth} {kind} -d \'{{"card":"abu.social_security"}}\' '
        f"{serving.address}/v1/simulate/readers/{reader}/insert"
    )
    screen.line(f"curl -s {auth} {serving.address}/v1/transactions")


def _open(serving: Serving, kaqi: str) -> None:
    """Where the page is, in both languages for whoever is asked to look."""
    operator = serving.folder.operator_token()
    address = console.address_of(
        Kaqi(token=operator, address=f"127.0.0.1:{serving.port}"), CODE_SECONDS
    )
    minutes = CODE_SECONDS // 60
    _title("或者在浏览器里试", "Or try it in a browser")
    screen.line(f"模拟台：柜台和一桌卡片，{minutes} 分钟内打开，网址只能用一次：")
    screen.line(
        f"The desk, a counter beside a table of cards: open it within {minutes} "
        "minutes, it works once:"
    )
    screen.line()
    screen.line(f"  {address}")
    screen.line()
    screen.line("需要新网址时 / For a fresh address:")
    screen.line(f"  {kaqi} console --data {shlex.quote(str(serving.folder.path))}")
    screen.line()
    screen.line(
        screen.said(
            {
                "zh-CN": f"地址 {serving.address}，按 Ctrl-C 结束",
                "en": f"Address {serving.address}, Ctrl-C ends it",
            }
        )
    )
