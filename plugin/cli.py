"""The `kaqi` command: its options and their help. What a command does is in `commands`,
imported when it is asked for, so that none pays for another."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from drivers.serial_line.settings import PortKind, SerialPort
from plugin.activation.problem import Problem
from plugin.agent.failure import described

SIMULATED_KINDS = ("pcsc", "serial", "twin", "inprocess")
SCENARIOS = ("pharmacy", "outpatient_registration", "inpatient_registration")
USAGE = 2
INTERRUPTED = 128 + 2
NOBODY_READS = 128 + 13

Command = Callable[..., int]
Option = Callable[[Command], Command]


def option(*names: str, **settings: Any) -> Option:  # noqa: ANN401 - click's own words
    """An option of a command."""
    added: Option = click.option(*names, **settings)
    return added


def file_option(name: str, text: str) -> Option:
    """An option that takes a path."""
    return option(name, type=click.Path(path_type=Path), help=text)


with_settings = file_option("--settings", "设置文件 / the settings file (kaqi.toml)")
with_data = file_option("--data", "数据目录 / the data folder")
with_port = option(
    "--port", type=click.IntRange(0, 65_535), help="端口 / the port; 0 takes any"
)
with_json = option("--json", "as_json", is_flag=True, help="JSON")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def app() -> None:
    """卡启 kaqi：社会保障卡首次使用即启用，不丢失，不重复。

    Turns the first use of a social security card into its activation: once, never lost,
    never doubled.
    """


@app.command()
@with_settings
@with_data
@with_port
@option(
    "--simulate", is_flag=True, help="模拟读卡器和中心 / simulated readers and centre"
)
@option(
    "--readers",
    default="inprocess",
    show_default=True,
    help="模拟读卡器种类 / kinds of simulated readers: inprocess,pcsc,serial,twin",
)
@option("--centre", help="中心地址 / the centre's address")
@option("--debug", is_flag=True, help="详细日志 / a detailed log")
@option(
    "--json",
    "as_json",
    is_flag=True,
    help="供程序启动模拟服务：就绪后输出一行 JSON，输入关闭即退出 / for a program that "
    "starts a simulation: one line of JSON when ready; ends with its input",
)
def serve(
    *,
    settings: Path | None,
    data: Path | None,
    port: int | None,
    simulate: bool,
    readers: str,
    centre: str | None,
    debug: bool,
    as_json: bool,
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
            as_json=as_json,
        )
    )


@app.command()
@with_port
@option("--once", is_flag=True, envvar="ONCE", help="演示后退出 / leave afterwards")
@option(
    "--readers",
    envvar="READERS",
    type=click.Choice(SIMULATED_KINDS),
    help="药店一幕用哪种读卡器 / which readers the pharmacy has; pcsc where it can be",
)
def demo(*, port: int | None, once: bool, readers: str | None) -> int:
    """演示：全部模拟 / Show everything, simulated."""
    from plugin import simulated
    from plugin.commands import demo as command
    from plugin.commands.failing import CannotError

    missing = simulated.missing_for(readers or "pcsc")
    if missing and readers:
        raise CannotError(Problem("agent.part_missing", {"part": missing}))
    chosen = "inprocess" if missing else readers or "pcsc"
    kinds = tuple(dict.fromkeys((chosen, "inprocess")))
    return command.run(port=port, once=once, kinds=kinds, missing=missing)


@app.command()
@with_json
@option(
    "--basic-info",
    is_flag=True,
    help="iReadCardBas 字符串（GBK）/ the iReadCardBas string, in GBK",
)
@option("--reveal", is_flag=True, help="显示个人信息 / show personal fields in clear")
@option("--reader", help="读卡器名称的一部分 / part of a reader's name")
@option("--psam", help="PSAM 卡槽名称的一部分 / part of the PSAM slot's name")
@option(
    "--serial",
    metavar="KIND:PORT",
    help="串口读卡器 / a reader on a serial port: ccid:COM3, tracks:/dev/ttyUSB0",
)
@option(
    "--wait",
    type=click.FloatRange(0, 600),
    default=0.0,
    metavar="SECONDS",
    help="等卡几秒 / wait so many seconds for a card",
)
@option(
    "--region",
    default="reference",
    show_default=True,
    help="地区规则 / a region's id, or a profile's path",
)
def read(
    *,
    as_json: bool,
    basic_info: bool,
    reveal: bool,
    reader: str | None,
    psam: str | None,
    serial: str | None,
    wait: float,
    region: str,
) -> int:
    """读一张卡 / Read one card.

    退出码 / exit codes: 0 read, 2 usage, 10 no reader that works, 11 no card, 12 mute card,
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
        screen.complain(Problem("profile.invalid", wrong.facts), as_json=as_json)
        return USAGE
    port = _serial_port(serial) if serial is not None else None
    readers = main.serial_readers([port]) if port else main.pcsc_readers()
    with closing(readers):
        return command.run(
            readers,
            profile,
            main.SystemClock(),
            wanted=reader,
            psam=psam,
            wait=wait,
            as_basic_info=basic_info,
            reveal=reveal,
            as_json=as_json,
        )


@app.command()
@option(
    "--scenario",
    type=click.Choice(SCENARIOS),
    default="pharmacy",
    show_default=True,
    help="业务 / what the card is used for",
)
@option("--pos-ref", help="业务编号 / your reference")
@with_data
@option("--simulate", is_flag=True, help="模拟的服务 / the simulated agent")
@option("--yes", is_flag=True, help="不再询问 / do not ask")
def activate(
    *, scenario: str, pos_ref: str | None, data: Path | None, simulate: bool, yes: bool
) -> int:
    """办理一次启用 / Activate a card through the running agent."""
    from plugin.commands import activate as command
    from plugin.commands import serve as serving

    kaqi = serving.running_agent(serving.Options(data=data, simulate=simulate))
    return command.run(
        kaqi,
        scenario,
        pos_ref=pos_ref,
        person=command.Person(
            agrees=lambda question: yes or click.confirm(question),
            insists=click.confirm,
            types=lambda question: str(click.prompt(question, hide_input=True)),
        ),
    )


@app.command()
@click.argument("activation", required=False)
@option(
    "--verdict",
    type=click.Choice(["active", "rejected"]),
    help="中心怎么说 / what the centre's people say",
)
@option("--reason", help="依据，不写身份证号 / why; no identity numbers")
@option("--operator", help="经办人编号 / who found out")
@with_json
@with_data
@option("--simulate", is_flag=True, help="模拟的服务 / the simulated agent")
def settle(
    *,
    activation: str | None,
    verdict: str | None,
    reason: str | None,
    operator: str | None,
    as_json: bool,
    data: Path | None,
    simulate: bool,
) -> int:
    """人工了结存疑的启用 / Settle an activation that needs a person.

    Without an activation, those that need a person are listed, with what to tell the
    centre's people on the telephone.
    """
    from plugin.commands import settle as command
    from plugin.commands.serve import Options

    options = Options(data=data, simulate=simulate)
    if activation is None:
        return command.listed(options, as_json=as_json)
    missing = [
        name
        for name, value in (
            ("--verdict", verdict),
            ("--reason", reason),
            ("--operator", operator),
        )
        if value is None
    ]
    if missing:
        raise click.UsageError(f"{' '.join(missing)}?")
    said = command.Said(verdict or "", reason or "", operator or "")
    return command.run(options, activation, said, as_json=as_json)


@app.command()
@with_data
@option("--simulate", is_flag=True, help="模拟的服务 / the simulated agent")
@option("--yes", is_flag=True, help="不再询问 / do not ask")
@option(
    "--empty",
    is_flag=True,
    help="什么都读不出时从空日志开始 / begin an empty journal where nothing is left",
)
def restore(*, data: Path | None, simulate: bool, yes: bool, empty: bool) -> int:
    """恢复损坏的日志，不删除任何文件 / Restore a damaged journal; nothing is deleted.

    The agent is stopped, or runs in safe mode; it is started again afterwards.

    退出码 / exit codes: 0 restored, or nothing to do; 1 not wanted; 74 nothing is left;
    75 an agent is using the journal.
    """
    from plugin.commands import restore as command
    from plugin.commands.serve import Options

    options = Options(data=data, simulate=simulate)
    return command.run(options, yes=yes, empty=empty)


@app.command()
@option(
    "--readers",
    type=click.Choice(SIMULATED_KINDS),
    default="pcsc",
    show_default=True,
    help="哪种读卡器 / which kind of readers",
)
def simulate(*, readers: str) -> int:
    """用手移动模拟卡 / Move the cast's cards by hand, in readers of any kind.

    pcsc and twin stand behind a private pcscd and serial on pseudo-terminals, where other
    programs see them too; inprocess readers are seen by nobody else, so their agent runs
    here as well.
    """
    from plugin import simulated
    from plugin.commands import screen
    from plugin.commands import simulate as command

    missing = simulated.missing_for(readers)
    if missing:
        screen.complain(Problem("agent.part_missing", {"part": missing}), as_json=False)
        return 1
    if readers == "inprocess":
        return command.beside_an_agent(sys.stdin)
    hand = simulated.Readers.started((readers,))
    try:
        return command.run(hand, simulated.seen_through(hand), sys.stdin)
    finally:
        hand.close()


@app.command()
@click.argument("url")
@option(
    "--scenario",
    "scenarios",
    multiple=True,
    help="只检查这些情形 / only these situations; as a rule all",
)
@option(
    "--seconds",
    type=click.FloatRange(1, 600),
    default=60.0,
    show_default=True,
    help="每次销售最多几秒 / how long a sale may take",
)
@with_json
def conformance(
    *, url: str, scenarios: tuple[str, ...], seconds: float, as_json: bool
) -> int:
    """检查 POS 的对接是否正确 / Examine a POS: URL is that of its test driver.

    The contract with the driver is in docs/conformance.md.

    退出码 / exit codes: 0 every promise is kept, 1 not.
    """
    from plugin.commands import conformance as command

    return command.run(url, scenarios, seconds, as_json=as_json)


@app.command()
@with_json
@with_settings
@with_data
@with_port
def doctor(
    *, as_json: bool, settings: Path | None, data: Path | None, port: int | None
) -> int:
    """检查环境 / Check what is installed, connected and reachable."""
    from plugin.commands import doctor as command
    from plugin.commands.serve import Options

    return command.run(
        Options(settings=settings, data=data, port=port), as_json=as_json
    )


with_simulate = option(
    "--simulate", is_flag=True, help="模拟的服务 / the simulated agent"
)


@app.command()
@option("--follow", "-f", is_flag=True, help="继续显示新的记录 / show what comes, too")
@option(
    "--level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="debug",
    show_default=True,
    help="至少多严重 / how grave at least",
)
@option("--trace", metavar="ID", help="一次请求的追踪号 / the Trace-Id of one request")
@option(
    "--since",
    metavar="WHEN",
    help="从何时起 / since when: 10m, 2h, 3d, 09:30, 2026-11-23T09:30",
)
@option(
    "--lines",
    "-n",
    type=click.IntRange(0),
    default=50,
    show_default=True,
    help="最多几行，0 为全部 / how many at most; 0: all",
)
@option("--audit", is_flag=True, help="谁办了什么 / only who had what done")
@option(
    "--lang",
    "language",
    type=click.Choice(["zh", "en"]),
    help="语言 / the language; as a rule that of this machine",
)
@with_json
@with_data
@with_simulate
def log(
    *,
    follow: bool,
    level: str,
    trace: str | None,
    since: str | None,
    lines: int,
    audit: bool,
    language: str | None,
    as_json: bool,
    data: Path | None,
    simulate: bool,
) -> int:
    """看服务的运行日志 / Read what the agent has written of itself.

    JSON 原样输出 / --json passes the lines through as they are.
    """
    from plugin import logs, main
    from plugin.commands import log as command
    from plugin.commands import screen
    from plugin.commands.serve import Options, opened_folder

    words = {"zh": screen.CHINESE, "en": screen.ENGLISH, None: screen.languages()[0]}
    asked = command.Asked(
        level=level,
        trace=trace,
        since=command.since(since, main.SystemClock().now()) if since else None,
        lines=lines,
        language=None if as_json else words[language],
    )
    folder = opened_folder(Options(data=data, simulate=simulate))
    file = logs.AUDIT if audit else logs.EVERYTHING
    return command.run(folder.logs, file, asked, follow=follow)


@app.command()
@click.argument("file", type=click.Path(path_type=Path))
@with_settings
@with_data
@with_simulate
def support(
    *, file: Path, settings: Path | None, data: Path | None, simulate: bool
) -> int:
    """写一份支持包，不含个人信息 / Write a bundle for support; it names nobody.

    FILE is a zip; nothing is overwritten. Also where the agent is not running.
    """
    from plugin.commands import support as command
    from plugin.commands.serve import Options

    return command.run(Options(settings=settings, data=data, simulate=simulate), file)


@app.command()
@click.argument("client", required=False)
@option(
    "--scope",
    multiple=True,
    help="权限 / what it may do: read, activate, identity, operate, admin, simulate",
)
@option("--origin", help="只限这个网页来源 / only for pages of this web origin")
@option(
    "--approve", metavar="CODE", help="批准显示此码的程序 / let in who shows this code"
)
@option("--deny", metavar="ID", help="拒绝 / refuse one that asks")
@with_json
@with_data
@with_simulate
def pair(
    *,
    client: str | None,
    scope: tuple[str, ...],
    origin: str | None,
    approve: str | None,
    deny: str | None,
    as_json: bool,
    data: Path | None,
    simulate: bool,
) -> int:
    """配对客户端 / Let clients in.

    给出名称则立即发放令牌，只显示一次；不给名称则列出等待配对的程序，输入它们显示的配对码即批准。

    With a name, its token is made at once and shown once. Without one, those who ask to be
    paired are listed; type the code that a client shows to let it in.
    """
    from plugin.commands import pair as command
    from plugin.commands.serve import Options

    options = Options(data=data, simulate=simulate)
    if client is not None:
        return command.run(client, scope, origin, options, as_json=as_json)
    if approve is not None:
        return command.approve(options, approve, as_json=as_json)
    if deny is not None:
        return command.deny(options, deny, as_json=as_json)
    return command.show(options, as_json=as_json, ask=_asked if _is_typed() else None)


@app.command()
@option("--revoke", metavar="CLIENT", help="注销 / make its token void")
@with_json
@with_data
@with_simulate
def clients(
    *, revoke: str | None, as_json: bool, data: Path | None, simulate: bool
) -> int:
    """已配对的客户端 / Who may call the agent."""
    from plugin.commands import clients as command
    from plugin.commands.serve import Options

    options = Options(data=data, simulate=simulate)
    if revoke is not None:
        return command.revoke(options, revoke, as_json=as_json)
    return command.show(options, as_json=as_json)


@app.command()
@option(
    "--browser/--no-browser",
    default=True,
    help="打开浏览器，或只显示网址 / open it in a browser, or only say where it is",
)
@with_json
@with_data
@with_simulate
def console(*, browser: bool, as_json: bool, data: Path | None, simulate: bool) -> int:
    """打开操作台 / Open the operator's page."""
    from plugin.commands import console as command
    from plugin.commands.serve import Options

    options = Options(data=data, simulate=simulate)
    return command.run(options, opens=browser, as_json=as_json)


@app.group(invoke_without_command=True)
@click.pass_context
def region(context: click.Context) -> int | None:
    """地区规则 / Region profiles: list them, begin one, check it, see what it means."""
    from plugin.commands import screen

    if context.invoked_subcommand is not None:
        return None
    screen.line(context.get_help())
    return USAGE


a_profile = click.argument("file")


@region.command("list")
@with_json
def list_regions(*, as_json: bool) -> int:
    """随卡启提供的地区规则 / The regions that come with kaqi."""
    from plugin.commands import region as command

    return command.show_all(as_json=as_json)


@region.command("new")
@click.argument("file", type=click.Path(path_type=Path))
@option(
    "--id", "region_id", help="编号，默认为文件名 / its id; as a rule the file's name"
)
@option("--name-zh", help="中文名称 / its name in Chinese")
@option("--name-en", help="英文名称 / its name in English")
@option(
    "--like",
    default="reference",
    show_default=True,
    help="照哪个地区写 / which region it begins as: an id, or a path",
)
def new_region(
    *,
    file: Path,
    region_id: str | None,
    name_zh: str | None,
    name_en: str | None,
    like: str,
) -> int:
    """写一份带注释的新规则，不覆盖文件 / Write a commented profile; overwrites nothing."""
    from plugin.commands import region as command

    return command.begin(
        file, region_id=region_id, name_zh=name_zh, name_en=name_en, like=like
    )


@region.command("check")
@a_profile
@with_json
def check_region(*, file: str, as_json: bool) -> int:
    """检查规则文件 / Check a profile; FILE is a path, or the id of a region of ours.

    退出码 / exit codes: 0 can be used, 78 it has a mistake.
    """
    from plugin.commands import region as command

    return command.check(file, as_json=as_json)


@region.command("explain")
@a_profile
@option(
    "--kind",
    type=click.Choice(["pharmacy", "hospital"]),
    help="机构类型 / the kind of institution",
)
@option(
    "--scenario", type=click.Choice(SCENARIOS), help="业务 / what the card is used for"
)
@option(
    "--lang",
    "language",
    type=click.Choice(["zh", "en"]),
    help="语言 / the language; as a rule that of this machine",
)
@with_json
def explain_region(
    *,
    file: str,
    kind: str | None,
    scenario: str | None,
    language: str | None,
    as_json: bool,
) -> int:
    """说明窗口怎样办理 / Say what a profile means at the counter, step by step.

    FILE is a path, or the id of a region of ours.
    """
    from plugin.activation.region import Scenario
    from plugin.commands import explaining as command
    from plugin.settings import InstitutionKind

    return command.run(
        file,
        kind=InstitutionKind(kind) if kind else None,
        scenario=Scenario(scenario) if scenario else None,
        language={"zh": "zh-CN"}.get(language, language) if language else None,
        as_json=as_json,
    )


def run(arguments: list[str]) -> int:
    """Obey a command line; returns the exit code. Never a traceback to a user."""
    try:
        code = app(
            args=arguments or ["--help"], prog_name="kaqi", standalone_mode=False
        )
    except click.ClickException as wrong:
        return _ended(Problem("command.usage", {"reason": wrong.format_message()}))
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:  # whoever read along has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOBODY_READS
    except Exception as failed:  # noqa: BLE001 - the last net
        from plugin.commands.failing import problem_of

        problem = problem_of(failed)
        unforeseen = described(failed) if problem.code == "agent.failed" else {}
        return _ended(problem, **unforeseen)
    return code if isinstance(code, int) and arguments else USAGE


def _ended(problem: Problem, **more: str) -> int:
    """Say why it ended; returns the exit code."""
    from plugin.commands import screen
    from plugin.commands.failing import exit_code

    screen.complain(problem, as_json="--json" in sys.argv, **more)
    return exit_code(problem)


def _is_typed() -> bool:
    """Whether somebody sits there who can answer."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _asked(question: str) -> str:
    return str(click.prompt(question, default="", show_default=False))


def _serial_port(said: str) -> SerialPort:
    kind, _, port = said.partition(":")
    if kind not in list(PortKind) or not port:
        raise click.BadParameter(f"{said}: ccid:PORT, tracks:PORT")
    return SerialPort(kind=PortKind(kind), port=port)


def _kinds(listed: str) -> tuple[str, ...]:
    from plugin import simulated

    kinds = tuple(listed.split(","))
    for kind in kinds:
        if kind not in simulated.READER_KINDS:
            raise click.BadParameter(f"{kind}: {', '.join(simulated.READER_KINDS)}")
    return kinds
