"""What the centre is told under /simulation, and shows there."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from fastapi import FastAPI, HTTPException

from simulator.centre.books import Books
from simulator.centre.faults import FaultOrder
from simulator.centre.wire import Strict
from simulator.people import Standing


class StandingOrder(Strict):
    """Change how a person's card stands."""

    standing: Standing


class TodayOrder(Strict):
    """Change the centre's date."""

    today: date


def add_routes(app: FastAPI, books: Books) -> None:
    """Everything under /simulation."""

    @app.post("/simulation/faults", status_code=204, tags=["simulation"])
    async def misbehave(order: FaultOrder) -> None:
        books.faults.append(order)

    @app.put("/simulation/faults", status_code=204, tags=["simulation"])
    async def misbehave_so(ordered: list[FaultOrder]) -> None:
        """So and not otherwise; what was kept back is answered now."""
        books.faults[:] = ordered
        books.let_go()

    @app.delete("/simulation/faults", status_code=204, tags=["simulation"])
    async def behave() -> None:
        books.faults.clear()

    @app.post("/simulation/people/{key}", status_code=204, tags=["simulation"])
    async def set_standing(key: str, order: StandingOrder) -> None:
        for code, person in books.people.items():
            if person.key == key:
                changed = replace(books.records[code], standing=order.standing)
                books.records[code] = changed
                return
        raise HTTPException(404, "nobody of that name")

    @app.post("/simulation/today", status_code=204, tags=["simulation"])
    async def set_today(order: TodayOrder) -> None:
        books.today = order.today

    @app.post("/simulation/late", status_code=204, tags=["simulation"])
    async def let_arrive() -> None:
        """What is late comes now."""
        while books.late:
            await books.late.pop(0)()

    @app.post("/simulation/answers", status_code=204, tags=["simulation"])
    async def let_go() -> None:
        """What is kept back is answered now."""
        books.let_go()

    @app.post("/simulation/reset", status_code=204, tags=["simulation"])
    async def reset() -> None:
        books.open()

    @app.get("/simulation/books", tags=["simulation"])
    async def show() -> dict[str, Any]:
        return {
            "today": books.today.isoformat(),
            "faults": books.faults,
            "effects": books.effects,
            "messages": books.messages,
            "received": books.received,
        }
