"""The `kaqi` command: its options and their help. What a command does is in `commands`,
imported when it is asked for, so that none pays for another."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from plugin.activation.problem import Problem

USAGE = 2
INTERRUPTED = 128 + 2

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="卡启 kaqi：社会保障卡首次使用即启用，不丢失，不重复。\n\n"
    "Turns the first use of a social security card into its activation.",
)

SettingsOption = Annotated[
    Path | None,
    typer.Option("--settings", help="设置文件 / the settings file (kaqi.toml)"),
]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="数据目录 / the data folder")
]
PortOption = Annotated[
    int | None,
    typer.Option("--port", min=0, max=65_535, help="端口 / the port; 0: any"),
]
RegionOption = Annotated[
    str, typer.Option("--region", help="地区规则 / a region's id, or a profile's path")
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON")]


@app.command()
def serve(
    *,
    settings: SettingsOption = None,
    data: DataOption = None,
    port: PortOption = None,
    simulate: Annotated[
        bool,
        typer.Option(
            "--simulate", help="模拟读卡器和中心 / simulated readers and centre"
        ),
    ] = False,
    readers: Annotated[
        str,
        typer.Option(help="模拟读卡器种类 / simulated readers: inprocess,pcsc"),
    ] = "inprocess",
    centre: Annotated[
        str | None, typer.Option(help="中心地址 / the centre's address")
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="详细日志 / a detailed log")
    ] = False,
) -> int:
    """启动服务 / Run the agent."""
    from plugin.commands import serve as command

    return command.run(
        command.Options(
            settings=settings,
            data=data,
            port=port,
            simulate=simulate,
            reader_kinds=_kinds(readers),
            centre=centre,
            debug=debug,
        )
    )


@app.command()
def demo(
    *,
    port: PortOption = None,
    once: Annotated[
        bool,
        typer.Option("--once", envvar="ONCE", help="演示后退出 / leave afterwards"),
    ] = False,
) -> int:
    """演示：全部模拟 / Show everything, simulated."""
    from plugin.commands import demo as command

    missing = _missing_parts()
    kinds = ("inprocess",) if missing else ("pcsc", "inprocess")
    stay = sys.stdin.isatty() and not once
    return command.run(port=port, once=not stay, kinds=kinds, missing=missing)


@app.command()
def read(
    *,
    json: JsonOption = False,
    reveal: Annotated[
        bool,
        typer.Option("--reveal", help="显示个人信息 / show personal fields in clear"),
    ] = False,
    reader: Annotated[
        str | None, typer.Option(help="读卡器名称的一部分 / part of a reader's name")
    ] = None,
    region: RegionOption = "reference",
) -> int:
    """读一张卡 / Read one card.

    退出码 / exit codes: 0 read, 2 usage, 10 no reader, 11 no card, 12 mute card,
    13 unsupported or unreadable card, 14 no smart-card service.
    """
    from plugin import logs, main
    from plugin.commands import read as command
    from plugin.commands import screen
    from plugin.data_file import DataFileError
    from plugin.profile_file import load_profile

    logs.quiet()
    try:
        profile = load_profile(region)
    except DataFileError as wrong:
        screen.complain(Problem("profile.invalid", wrong.facts), as_json=json)
        return USAGE
    return command.run(
        main.pcsc_readers(),
        profile,
        main.SystemClock(),
        wanted=reader,
        reveal=reveal,
        as_json=json,
    )


@app.command()
def activate(
    *,
    scenario: Annotated[
        str,
        typer.Option(help="pharmacy, outpatient_registration, inpatient_registration"),
    ] = "pharmacy",
    pos_ref: Annotated[
        str | None, typer.Option(help="业务编号 / your reference")
    ] = None,
    data: DataOption = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="模拟的服务 / the simulated agent")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="不再询问 / do not ask")] = False,
) -> int:
    """办理一次启用 / Activate a card through the running agent."""
    from plugin.client import Kaqi
    from plugin.commands import activate as command
    from plugin.commands import screen
    from plugin.commands import serve as serving

    try:
        folder = serving.opened_folder(serving.Options(data=data, simulate=simulate))
        port, token = folder.announced_port(), folder.operator_token()
    except serving.CannotServeError as failed:
        screen.complain(failed.problem, as_json=False)
        return serving.EXIT_CODES.get(failed.problem.code, 1)
    if port is None:
        screen.complain(Problem("agent.not_running"), as_json=False)
        return command.NOT_RUNNING
    kaqi = Kaqi(token=token, address=f"127.0.0.1:{port}")
    return command.run(
        kaqi,
        scenario,
        pos_ref=pos_ref,
        ask=lambda question: yes or typer.confirm(question),
    )


@app.command()
def simulate() -> int:
    """把模拟卡接到 pcscd / Plug the cast into a private pcscd and move cards by hand."""
    from plugin import main
    from plugin.commands import screen
    from plugin.commands import simulate as command

    missing = _missing_parts()
    if missing:
        screen.complain(Problem("agent.part_missing", {"part": missing}), as_json=False)
        return 1
    hand = main.SimulatedReaders.started(("pcsc",))
    try:
        return command.run(hand, main.environment_of(hand), sys.stdin)
    finally:
        hand.close()


@app.command()
def doctor(
    *,
    json: JsonOption = False,
    settings: SettingsOption = None,
    data: DataOption = None,
    port: PortOption = None,
) -> int:
    """检查环境 / Check what is installed, connected and reachable."""
    from plugin.commands import doctor as command
    from plugin.commands.serve import Options

    return command.run(Options(settings=settings, data=data, port=port), as_json=json)


@app.command()
def pair(
    client: Annotated[str, typer.Argument(help="客户端名称 / the client's name")],
    *,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="read, activate, identity, operate, admin, simulate"),
    ] = None,
    data: DataOption = None,
) -> int:
    """为客户端发放令牌，只显示一次 / Make a client's token; it is shown once."""
    from plugin.commands import pair as command

    return command.run(client, scope, data)


def run(arguments: list[str]) -> int:
    """Obey a command line; returns the exit code. Never a traceback for a usage error."""
    try:
        code = app(args=arguments or ["--help"], standalone_mode=False)
    except typer.TyperException as wrong:
        from plugin.commands import screen

        problem = Problem("command.usage", {"reason": wrong.format_message()})
        screen.complain(problem, as_json="--json" in arguments)
        return USAGE
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    return code if isinstance(code, int) and arguments else USAGE


def _kinds(listed: str) -> tuple[str, ...]:
    from plugin import main

    kinds = tuple(listed.split(","))
    for kind in kinds:
        if kind not in main.READER_KINDS:
            raise typer.BadParameter(f"{kind}: {', '.join(main.READER_KINDS)}")
    return kinds


def _missing_parts() -> str:
    """What the real resource manager with simulated readers lacks on this machine."""
    from plugin import main

    return main.missing_for_pcsc_simulation()
