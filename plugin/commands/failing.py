"""How a command says that it cannot: every exception that means something, as a problem with
its exit code."""

from __future__ import annotations

from plugin.activation.problem import Problem
from plugin.client import KaqiImpostorError, KaqiUnreachableError
from plugin.data_folder import DataFolderError
from plugin.journal.port import JournalError

# sysexits.h, as far as it has a word for it
EXIT_CODES = {
    "agent.failed": 70,
    "agent.not_running": 69,
    "client.impostor": 69,
    "agent.port_in_use": 69,
    "agent.port_refused": 69,
    "agent.part_missing": 69,
    "centre.not_simulated": 69,
    "agent.data_folder": 73,
    "agent.journal_key": 73,
    "agent.other_purpose": 73,
    "agent.journal_failed": 74,
    "agent.journal_damaged": 74,
    "agent.nothing_to_restore": 74,
    "agent.journal_in_use": 75,
    "command.usage": 2,
    "settings.invalid": 78,
    "settings.missing": 78,
    "profile.invalid": 78,
}


class CannotError(Exception):
    """The command cannot do what it should, and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


def problem_of(failed: Exception) -> Problem:
    """What an exception means to whoever gave the command."""
    match failed:
        case CannotError():
            return failed.problem
        case DataFolderError():
            return Problem(failed.code, failed.facts)
        case JournalError() | KaqiImpostorError():
            return Problem(failed.code)
        case KaqiUnreachableError():
            return Problem("agent.not_running")
        case _:
            return Problem("agent.failed")


def exit_code(problem: Problem) -> int:
    """The exit code of a command that ended like this."""
    return EXIT_CODES.get(problem.code, 1)
