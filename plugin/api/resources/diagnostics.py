"""How the agent is, for whoever has to help: in short, in full, and as a bundle that may leave
the till."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Iterator

from msgspec import Struct, to_builtins
from msgspec.structs import replace
from starlette.responses import Response

from plugin.activation.problem import Problem
from plugin.activation.saga import Activation
from plugin.agent import about, support
from plugin.agent.doctor import Finding
from plugin.agent.readers import ReaderView
from plugin.agent.service import ProblemError
from plugin.api import answers
from plugin.api.operation import Bare, Operation, answer, reading
from plugin.api.requests import LIST_MAX
from plugin.api.resources.metrics import measured
from plugin.api.resources.resource import Resource
from plugin.settings import Settings

ZIP = "application/zip"


class Found(Struct, frozen=True, kw_only=True):
    """What the agent finds when it looks at itself."""

    findings: tuple[Finding, ...]
    readers: tuple[ReaderView, ...]
    troubles: tuple[Problem, ...]
    unfinished: dict[str, int]

    @property
    def bare(self) -> Found:
        """The same with problems of which only the code is left."""
        findings = (
            replace(each, problem=each.problem and Problem(each.problem.code))
            for each in self.findings
        )
        readers = (
            replace(each, problem=each.problem and Problem(each.problem.code))
            for each in self.readers
        )
        return replace(
            self,
            findings=tuple(findings),
            readers=tuple(readers),
            troubles=tuple(Problem(each.code) for each in self.troubles),
        )


class Diagnostics(Resource):
    """Diagnostics."""

    def operations(self) -> Iterator[Operation]:
        """What can be asked."""
        yield reading("/v1/agent", self.agent, answers.Agent)
        shown = {200: answers.Diagnostics}
        yield Operation("GET", "/v1/diagnostics", self.diagnostics, "operate", shown)
        yield Operation(
            "GET",
            "/v1/diagnostics/bundle",
            self.bundle,
            "operate",
            {200: bytes},
            media=ZIP,
        )

    async def agent(self, _: Bare) -> Response:
        """Which agent this is: its version, what it can do, by whose rules it works, and
        whether anything here is real."""
        return answer(self._agent())

    async def diagnostics(self, asked: Bare) -> Response:
        """How the agent is: readers, checks with their remedies, counts, settings without
        secrets."""
        return answer(self._shown(await self._found(), asked.trace_id))

    async def bundle(self, asked: Bare) -> Response:
        """A zip for support, safe by construction: the diagnostics, the metrics, the end of
        the log field by field, the states of activations. It names nobody; transactions and
        the POS's own numbers are keyed hashes."""
        shown = self._shown((await self._found()).bare, asked.trace_id)
        hashed, log = self._parts.hashed, await asyncio.to_thread(self._parts.log)
        records = await self._decide(self._activations)
        files = {
            "diagnostics.json": to_builtins(replace(shown, log_folder=None)),
            "metrics.txt": await measured(self._parts),
            "activations.json": [support.activation(each, hashed) for each in records],
            "log.jsonl": list(support.log_lines(log, hashed)),
        }
        headers = {"Content-Disposition": 'attachment; filename="kaqi-support.zip"'}
        content = await asyncio.to_thread(support.packed, files)
        return Response(content, headers=headers, media_type=ZIP)

    def _activations(self) -> tuple[Activation, ...]:
        """None where the journal cannot be read: then its state is in the checks."""
        try:
            return self._parts.service.recent_activations(LIST_MAX)
        except ProblemError:
            return ()

    async def _found(self) -> Found:
        findings = await asyncio.to_thread(self._parts.checks)
        service = self._parts.service
        readers, troubles, unfinished = await self._decide(
            lambda: (service.readers(), service.reader_troubles(), service.unfinished())
        )
        return Found(
            findings=findings,
            readers=readers,
            troubles=troubles,
            unfinished={state.value: count for state, count in unfinished.items()},
        )

    def _agent(self) -> answers.Agent:
        ours = self._parts.about
        profile = ours.profile
        return answers.Agent(
            name=about.NAME,
            version=ours.version,
            api_versions=list(about.API_VERSIONS),
            mode=ours.mode,
            instance_id=ours.instance_id,
            institution=ours.settings.institution.name,
            region_profile=answers.Profile(id=profile.id, version=profile.version),
            scenarios=ours.scenarios,
            capabilities=ours.capabilities,
        )

    def _shown(self, found: Found, trace_id: str) -> answers.Diagnostics:
        ours, rendering = self._parts.about, self._parts.rendering
        free = self._parts.free()
        return answers.Diagnostics(
            agent=self._agent(),
            python=platform.python_version(),
            system=f"{platform.system()} {platform.release()} {platform.machine()}",
            started_at=ours.started_at,
            uptime_s=round(ours.uptime, 1),
            time=ours.now,
            safe_mode=ours.safe_mode,
            disk_free_mib=free >> 20 if free is not None else None,
            log_folder=self._parts.log_folder,
            readers=[rendering.reader(view, trace_id) for view in found.readers],
            problems=[
                rendering.catalogue.answer(each, trace_id) for each in found.troubles
            ],
            checks=rendering.readiness(found.findings, trace_id).checks,
            activations=found.unfinished,
            counts=list(self._counts()),
            settings=settings_shown(ours.settings),
        )

    def _counts(self) -> Iterator[answers.Count]:
        for tally in self._parts.counts.tallies():
            for values, number in tally.rows().items():
                labels = dict(zip(tally.labels, values, strict=True))
                yield answers.Count(name=tally.name, labels=labels, value=number)


def settings_shown(settings: Settings) -> answers.SettingsShown:
    """What is set, without secrets and without anybody's name."""
    return answers.SettingsShown(
        institution=settings.institution.code,
        institution_kind=settings.institution.kind.value,
        port=settings.port,
        origins=sorted(settings.origins),
        centre_address=settings.centre_address,
        centre_credential=settings.centre_credential_file is not None,
        psam_reader=settings.psam_reader,
        terminal_device=settings.terminal.device,
        serial=[f"{each.kind}:{each.port}" for each in settings.serial],
        personal_days=settings.keeping.personal_days,
        record_days=settings.keeping.record_days,
    )
