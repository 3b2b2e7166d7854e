"""Every screen for everybody: axe-core, the layout at every size, the keyboard, paper, and
whoever has set colours or motion otherwise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Site
from tests.browser.consoles import Watch
from tests.browser.judging import THOROUGH, as_it_stands, by_axe, by_layout
from tests.browser.paper import PAPERS, printed
from tests.browser.screens import SCREENS, shown, staged, word
from tests.centre import CentreProcess


@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_is_for_everybody(
    chromium: Browser, centre: CentreProcess, name: str
) -> None:
    screen = SCREENS[name]

    found: list[str] = []
    with staged(screen, chromium, centre) as stage:
        for number, language in enumerate(shown(screen, stage)):
            # The second language is the same page with other words.
            judges = [as_it_stands] if number and not THOROUGH else [by_axe, by_layout]
            for judge in judges:
                found += [f"{language}: {each}" for each in judge(stage.page)]

    assert found == []


# What a careless change may do to a page, and how the judges say it.
HARM = {
    "pale words": (
        by_axe,
        "document.querySelector('h1').style.color = '#bbb'",
        r"serious: color-contrast",
    ),
    "a field without a name": (
        by_axe,
        "document.querySelector('main').append(document.createElement('input'))",
        r"critical: label",
    ),
    "cut off": (
        by_layout,
        "Object.assign(document.querySelector('h1').style,"
        " {width: '3em', whiteSpace: 'nowrap', overflow: 'hidden'})",
        r"“.+” is cut off",
    ),
    "too wide": (
        by_layout,
        "document.querySelector('main').style.width = '1100px'",
        r"at the counter: the page is 1100 px wide",
    ),
    "overlapping": (
        by_layout,
        "document.querySelector('h1').style.marginBottom = '-4rem'",
        r"“.+” and “.+” overlap",
    ),
    "a small target": (
        by_layout,
        "Object.assign(document.querySelector('button.language').style,"
        " {minHeight: 0, padding: 0, height: '20px', font: '12px sans-serif'})",
        r"“English” is .+ x 20 px",
    ),
    "covered": (
        by_layout,
        """const cover = document.createElement('div');
        Object.assign(cover.style, {position: 'fixed', inset: 0, zIndex: 9});
        document.body.append(cover)""",
        r"“.+” is not seen when it has the focus",
    ),
}


def test_the_judges_see_what_is_wrong(chromium: Browser, centre: CentreProcess) -> None:
    unseen = []
    with staged(SCREENS["choice"], chromium, centre) as stage:
        for harm, (judge, script, says) in HARM.items():
            stage.page.evaluate(f"() => {{ {script} }}")
            found = list(judge(stage.page))
            if not any(re.search(says, each) for each in found):
                unseen.append((harm, found))
            stage.open()

    assert unseen == []


OUTLINE = """() => {
  const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
  return outlineStyle === "none" ? 0 : parseFloat(outlineWidth);
}"""


def test_the_keyboards_focus_is_always_seen(
    chromium: Browser, centre: CentreProcess
) -> None:
    screen = SCREENS["settings"]
    thin, visited = [], set()
    with staged(screen, chromium, centre) as stage:
        next(shown(screen, stage))
        page = stage.page
        page.locator(".skip").focus()
        for _ in range(40):
            page.keyboard.press("Tab")
            where = page.evaluate("() => document.activeElement.outerHTML.slice(0, 60)")
            if where in visited or where.startswith("<body"):
                break
            visited.add(where)
            if page.evaluate(OUTLINE) < 2:
                thin.append(where)

    assert thin == []
    assert len(visited) > 8


def test_nothing_moves_for_who_wants_it_still(
    chromium: Browser, centre: CentreProcess
) -> None:
    moving = "() => document.getAnimations().length"
    with staged(SCREENS["committing"], chromium, centre) as stage:
        next(shown(SCREENS["committing"], stage))
        usually = stage.page.evaluate(moving)
        stage.page.emulate_media(reduced_motion="reduce")
        stilled = stage.page.evaluate(moving)

    assert usually > 0
    assert stilled == 0


def test_with_forced_colours_a_moment_keeps_its_frame_and_its_picture(
    chromium: Browser, centre: CentreProcess
) -> None:
    looks = """() => ["main .panel", ".picture"].map(each => {
      const style = getComputedStyle(document.querySelector(each));
      return [style.borderTopWidth, style.backgroundColor];
    })"""
    screen = SCREENS["waiting-card"]
    with staged(screen, chromium, centre, forced_colors="active") as stage:
        next(shown(screen, stage))
        panel, picture = stage.page.evaluate(looks)

    assert panel[0] != "0px"
    assert picture[1] == "rgb(255, 255, 255)"  # it is drawn in dark lines


# Paper

LEFT_ON_PAPER = """() => [...document.body.children]
  .filter(each => each.checkVisibility()).map(each => each.className)"""
PRINTED = """() => {
  const paper = document.querySelector(".paper");
  const { color } = getComputedStyle(paper);
  const smallest = Math.min(...[...paper.querySelectorAll("*")]
    .map(each => parseFloat(getComputedStyle(each).fontSize)));
  return [color, smallest, getComputedStyle(document.body).backgroundColor];
}"""
POINT = 96 / 72  # CSS px
DATES = {"zh-CN": r"2\d{3}年\d+月\d+日", "en": r"\w+ \d+, 2\d{3}"}
BLACK, WHITE = "rgb(0, 0, 0)", "rgb(255, 255, 255)"


@pytest.mark.parametrize("name", PAPERS)
def test_the_paper_has_what_the_holder_takes_along_and_nothing_else(
    chromium: Browser, centre: CentreProcess, name: str
) -> None:
    screen = SCREENS[name]
    wrong: list[object] = []
    with staged(screen, chromium, centre) as stage:
        for language in shown(screen, stage):
            page = printed(stage.page, word(PAPERS[name], language))
            left = page.evaluate(LEFT_ON_PAPER)
            ink, smallest, ground = page.evaluate(PRINTED)
            text = page.locator(".paper").inner_text()
            sheets = page.pdf(format="A4").count(b"/Type /Page\n")
            page.emulate_media(media="screen")
            if (left, ink, ground, sheets) != (["paper"], BLACK, WHITE, 1):
                wrong.append((language, left, ink, ground, sheets))
            if smallest < 12 * POINT - 0.1:
                wrong.append((language, smallest))
            expected = [*on_paper(stage.counter.now.data, language), "试用医院"]
            wrong += [each for each in expected if each not in text]
            if not re.search(DATES[language], text):
                wrong.append((language, text))

    assert wrong == []


def on_paper(transaction: Mapping[str, Any], language: str) -> list[str]:
    """All that the agent has to say to the holder."""
    receipt = (transaction.get("result") or {}).get("receipt")
    if receipt:
        lines: list[str] = receipt["text"][language].splitlines()
        return lines
    problem = transaction["problem"]
    places = (part for step in problem["remedy"][language] for part in [step[-12:]])
    return [problem["messages"][language], *places]


# Characters

DRAWN = """characters => {
  const pen = new OffscreenCanvas(40, 40).getContext("2d", { willReadFrequently: true });
  pen.font = `24px ${getComputedStyle(document.body).fontFamily}`;
  const draw = character => {
    pen.clearRect(0, 0, 40, 40);
    pen.fillText(character, 4, 30);
    return pen.getImageData(0, 0, 40, 40).data.join();
  };
  const box = draw("\\u0378"); // nobody has been given this place
  return characters.filter(each => draw(each) === box);
}"""


def test_no_character_that_can_be_shown_is_a_box(
    chromium: Browser, centre: CentreProcess
) -> None:
    unassigned = "\u0379"
    with staged(SCREENS["desk"], chromium, centre) as stage:
        sources = [
            stage.agent.pos.request("GET", path).body
            for path in ("/v1/errors", "/v1/simulate/cast")
        ]
        sources.append(stage.page.request.get(f"{stage.address}words.js").text())
        characters = sorted({each for each in str(sources) if each.isprintable()})
        boxes = stage.page.evaluate(DRAWN, [*characters, unassigned])

    assert len(characters) > 500
    assert boxes == [unassigned]


# The first paint; its milliseconds are in `make bench`

BLOCKING = """() => performance.getEntriesByType("resource")
  .filter(each => each.renderBlockingStatus === "blocking")
  .map(each => new URL(each.name).pathname)"""


def test_only_the_style_sheet_is_waited_for_before_the_first_paint(
    chromium: Browser, centre: CentreProcess
) -> None:
    with staged(SCREENS["choice"], chromium, centre) as stage:
        blocking = stage.page.evaluate(BLOCKING)
        without_scripts = chromium.new_context(java_script_enabled=False)
        plain = without_scripts.new_page()
        plain.goto(stage.address)
        painted = plain.locator("body").inner_text()
        without_scripts.close()

    assert blocking == ["/style.css"]
    assert "卡启" in painted


def test_the_first_paint_waits_for_no_module(
    chromium: Browser, centre: CentreProcess
) -> None:
    with staged(SCREENS["signed-out"], chromium, centre) as stage:
        page = chromium.new_page()
        page.route("**/app.js", lambda held: None)  # it never comes
        with page.expect_request("**/app.js"):
            page.goto(stage.address, wait_until="commit")
        page.wait_for_function(
            "() => performance.getEntriesByName('first-contentful-paint').length"
        )
        expect(page.locator("header .name")).to_be_visible()
        page.close()


# What every test with a console notices

MISTAKES = {
    "a script of its own making": (
        "console",
        """() => { const script = document.createElement("script");
        script.textContent = "window.planted = 1"; document.body.append(script); }""",
        "Content Security Policy",
    ),
    "an error that nobody caught": (
        "pageerror",
        "() => { setTimeout(() => nobody.knows(), 0); }",
        "nobody is not defined",
    ),
    "somebody else's picture": (
        "console",
        "address => { new Image().src = address; }",
        "Content Security Policy",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_of_a_console_is_noticed(
    chromium: Browser,
    centre: CentreProcess,
    consoles: Watch,
    sites: tuple[Site, Site],
    mistake: str,
) -> None:
    event, script, says = MISTAKES[mistake]
    with (
        staged(SCREENS["choice"], chromium, centre) as stage,
        stage.page.expect_event(event),
    ):
        stage.page.evaluate(script, f"{sites[1].origin}/x.png")

    complaints = consoles.complaints()
    assert any(says in each for each in complaints), complaints


def test_a_request_that_leaves_for_elsewhere_is_noticed(
    chromium: Browser,
    centre: CentreProcess,
    consoles: Watch,
    sites: tuple[Site, Site],
) -> None:
    with staged(SCREENS["choice"], chromium, centre, bypass_csp=True) as stage:
        stage.page.evaluate(
            "address => fetch(address, {mode: 'no-cors'})", sites[1].origin
        )

    assert consoles.complaints() == [f"it asked {sites[1].origin}/"]
