"""`kaqi support`: a bundle for support, from the running agent; without one, of what can be
seen from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import to_builtins

from plugin import logs
from plugin.activation.problem import Problem
from plugin.agent import support
from plugin.api.resources.diagnostics import settings_shown
from plugin.client import KaqiError, KaqiUnreachableError
from plugin.commands import doctor, screen, serve
from plugin.commands.failing import CannotError
from plugin.commands.serve import Options
from plugin.data_folder import DataFolder, DataFolderError
from plugin.privacy import Keys

WRITTEN = 0
_SAID: Mapping[str, Mapping[str, str]] = {
    "agent": {
        "zh-CN": "已写入 {file}（来自运行中的服务）",
        "en": "{file} is written (by the running agent)",
    },
    "alone": {
        "zh-CN": "服务没有运行，已把看得到的写入 {file}",
        "en": "The agent is not running: {file} holds what can be seen without it",
    },
}


def run(options: Options, file: Path) -> int:
    """Write it; nothing is overwritten. Raises CannotError."""
    try:
        content, who = serve.running_agent(options).support_bundle(), "agent"
    except (CannotError, DataFolderError, KaqiError, KaqiUnreachableError):
        content, who = support.packed(_from_outside(options)), "alone"
    try:
        with file.open("xb") as opened:
            opened.write(content)
    except OSError as failed:
        reason = f"{file}: {failed.strerror}"
        raise CannotError(Problem("command.usage", {"reason": reason})) from failed
    screen.line(screen.said(_SAID[who]).format(file=file))
    return WRITTEN


def _from_outside(options: Options) -> dict[str, object]:
    """The doctor's findings, the settings and the end of the log, as far as they can be
    read."""
    findings = [support.finding(each) for each in doctor.findings(options)]
    files: dict[str, object] = {"doctor.json": findings}
    with suppress(CannotError):  # the doctor has said why; below too
        settings, _ = serve.read_settings(options)
        files["till.json"] = to_builtins(settings_shown(settings))
    with suppress(DataFolderError):
        folder = serve.opened_folder(options)
        log, hashed = support.tail(logs.latest(folder.logs)), _hashing(folder)
        files["log.jsonl"] = list(support.log_lines(log, hashed))
    return files


def _hashing(folder: DataFolder) -> Callable[[str], str]:
    """This till's own, where it has a key."""
    keys = folder.keys() if folder.has_a_key else Keys.new()
    return lambda value: keys.digest(support.HASHED, value)
