"""`kaqi restore`: a journal that can be used again, made of what is left of a damaged one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime

import click

from plugin.activation.problem import Problem
from plugin.agent.backups import NEWEST, OLDER
from plugin.commands import screen, serve
from plugin.commands.failing import CannotError
from plugin.commands.serve import Options
from plugin.data_folder import DataFolder
from plugin.journal.rescue import Condition, Proposal, Rescue
from plugin.journal.salvage import Plan, began_ms

DONE, NOT_WANTED = 0, 1
SHOWN_MAX = 20
_SAID: Mapping[str, Mapping[str, str]] = {
    "nothing": {
        "zh-CN": "日志完好，没有需要恢复的。",
        "en": "The journal is sound: there is nothing to do.",
    },
    "damaged": {
        "zh-CN": "日志已损坏：{path}",
        "en": "The journal is damaged: {path}",
    },
    "older": {
        "zh-CN": "日志完好，但不是这里最后使用的那一份，是旧的：{path}",
        "en": "The journal is whole, but an older one than was last used here: {path}",
    },
    "reading": {"zh-CN": "已读 {count} 行……", "en": "{count} rows read …"},
    "ours": {
        "zh-CN": "日志本身可读：{count} 条",
        "en": "readable there: {count} records",
    },
    "copy": {
        "zh-CN": "来自 {made} 的备份：{count} 条",
        "en": "from the copy made at {made}: {count} records",
    },
    "no_copy": {"zh-CN": "没有完好的备份", "en": "there is no sound copy"},
    "lost": {
        "zh-CN": "读不出、备份里也没有：{count} 条",
        "en": "could not be read and is in no copy: {count} records",
    },
    "began": {"zh-CN": "受理于 {time}", "en": "begun at {time}"},
    "empty": {
        "zh-CN": "从空日志开始；旧文件会保留",
        "en": "an empty journal begins; the old file is kept",
    },
    "ask": {
        "zh-CN": "现在恢复吗？旧文件会保留，什么也不删除",
        "en": "Restore now? The old file is kept, nothing is deleted",
    },
    "not_wanted": {"zh-CN": "什么也没有改变。", "en": "Nothing was changed."},
    "done": {
        "zh-CN": "已恢复。旧文件保留为 {path}",
        "en": "Restored. The old file is kept as {path}",
    },
    "hours": {
        "zh-CN": "{since} 到 {until} 之间可能有记录丢失：请向医保中心索取本机构这段时间启用的卡，逐张核对。",
        "en": "Between {since} and {until} records may be missing: ask the insurance centre which cards this institution enabled in that time, and compare.",
    },
    "doubtful": {
        "zh-CN": "需要人工核实（来自备份，之后的情况不知道）：{count} 条",
        "en": "To be settled by a person (from a copy; what came of them since is not known): {count} records",
    },
    "one": {
        "zh-CN": "{id}  受理于 {time}  业务编号 {pos_ref}  报文编号 {message}",
        "en": "{id}  begun at {time}  reference {pos_ref}  message {message}",
    },
    "kept": {
        "zh-CN": "旧文件里有加密的个人信息；核实完毕后请按本机构规定删除。",
        "en": "The old file holds personal data, sealed: remove it, as your rules say, once all is settled.",
    },
    "settle": {
        "zh-CN": "打电话给医保中心核实，再用 kaqi settle 登记。",
        "en": "Call the insurance centre about each, then enter the answer with kaqi settle.",
    },
    "start": {
        "zh-CN": "请重新启动 kaqi；以安全模式运行的也要重启。",
        "en": "Now start kaqi again; restart it if it runs in safe mode.",
    },
    "beginning": {"zh-CN": "最初", "en": "the beginning"},
    "now": {"zh-CN": "现在", "en": "now"},
}


def run(options: Options, *, yes: bool, empty: bool) -> int:
    """Show what can be done, ask, do it, and say what is left to people. Raises
    CannotError, DataFolderError and JournalError."""
    folder = serve.opened_folder(options)
    if not folder.journal.exists() and not folder.has_a_key:
        return _say_nothing_to_do()
    with rescue_of(folder) as rescue:
        proposal = rescue.proposal(time.time_ns() // 1_000_000, _progress())
        if proposal is None:
            return _say_nothing_to_do()
        if proposal.is_empty and not empty:
            raise CannotError(Problem("agent.nothing_to_restore"))
        for line in _plan(proposal, folder):
            screen.line(line)
        if not yes and not _agreed():
            screen.line(_say("not_wanted"))
            return NOT_WANTED
        stamp = datetime.now().strftime("%Y%m%dT%H%M%S")  # noqa: DTZ005, TID251 - a name for people
        kept = rescue.carry_out(proposal.plan, stamp)
    screen.line(_say("done", path=kept))
    screen.line(_say("kept"))
    for line in _left_to_people(proposal.plan):
        screen.line(line)
    return DONE


@contextmanager
def rescue_of(folder: DataFolder) -> Iterator[Rescue]:
    """The journal of this folder, to be looked at or restored. Raises DataFolderError and
    JournalError."""
    copies = [folder.path / name for name in (NEWEST, OLDER)]
    with (
        serve.to_ourselves(),
        closing(Rescue(folder.path, folder.keys(), copies)) as rescue,
    ):
        yield rescue


def _say(name: str, **facts: object) -> str:
    return screen.said(_SAID[name]).format(**facts)


def _say_nothing_to_do() -> int:
    screen.line(_say("nothing"))
    return DONE


def _agreed() -> bool:
    """Raises CannotError where there is nobody to ask."""
    try:
        return click.confirm(_say("ask"))
    except click.Abort as nobody:
        raise CannotError(Problem("command.usage", {"reason": "--yes?"})) from nobody


def _progress() -> Callable[[int], None]:
    """A line a second."""
    last = time.monotonic()

    def told(count: int) -> None:
        nonlocal last
        if time.monotonic() - last >= 1:
            last = time.monotonic()
            screen.line(_say("reading", count=count))

    return told


def _plan(proposal: Proposal, folder: DataFolder) -> Iterator[str]:
    plan = proposal.plan
    whole = proposal.condition is Condition.OLDER
    yield _say("older" if whole else "damaged", path=folder.journal)
    if proposal.is_empty:
        yield f"  - {_say('empty')}"
        return
    count = len(plan.rows) + len(plan.doubtful) - plan.from_copies
    if not proposal.is_older:
        yield f"  - {_say('ours', count=count)}"
    if proposal.copy_made is None and not proposal.is_older:
        yield f"  - {_say('no_copy')}"
    else:
        made = proposal.copy_made or plan.since
        yield f"  - {_say('copy', made=made, count=plan.from_copies)}"
    if plan.lost:
        yield f"  - {_say('lost', count=len(plan.lost))}"
        for number in plan.lost[:SHOWN_MAX]:
            yield f"      {_say('began', time=_time(number))}"


def _left_to_people(plan: Plan) -> Iterator[str]:
    if plan.has_gap:
        since = plan.since or screen.said(_SAID["beginning"])
        until = plan.until or screen.said(_SAID["now"])
        yield _say("hours", since=since, until=until)
    elif plan.lost:
        ends = _time(plan.lost[0]), _time(plan.lost[-1])
        yield _say("hours", since=ends[0], until=ends[1])
    if plan.doubtful:
        yield _say("doubtful", count=len(plan.doubtful))
        for each in plan.doubtful[:SHOWN_MAX]:
            yield "  " + _say(
                "one",
                id=each.origin.intent_id,
                time=each.origin.received_at,
                pos_ref=each.origin.pos_ref or "-",
                message=each.sent_as or each.activation_id or "-",
            )
        yield _say("settle")
    yield _say("start")


def _time(number: int) -> str:
    began = datetime.fromtimestamp(began_ms(number) / 1000).astimezone()
    return began.isoformat(timespec="seconds")
