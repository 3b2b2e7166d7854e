"""What was counted, as Prometheus reads it (its text format, version 0.0.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from plugin.agent.counting import Counts, Labels, Spread, Tally, Timing

if TYPE_CHECKING:
    from prometheus_client.core import HistogramMetricFamily, Metric

MEDIA = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "kaqi_"


class Standing(Struct, frozen=True, kw_only=True):
    """One number for each of these labels, as it stands now. A `counter` only grows."""

    kind: Literal["counter", "gauge"]
    name: str
    about: str
    labels: Labels = ()
    rows: Mapping[Labels, float]


def exposed(counts: Counts, standings: Iterable[Standing]) -> bytes:
    """All of it."""
    # Imported here: a till that nobody watches does not pay for it.
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    class Everything(Collector):
        def collect(self) -> Iterator[Metric]:
            yield from map(_counted, map(_standing, counts.tallies()))
            yield from map(_timed, counts.timings())
            yield from map(_counted, standings)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Everything())
    return generate_latest(registry)


def _standing(tally: Tally) -> Standing:
    return Standing(
        kind="counter",
        name=tally.name,
        about=tally.about,
        labels=tally.labels,
        rows=tally.rows(),
    )


def _counted(standing: Standing) -> Metric:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    kinds: Mapping[str, Callable[..., CounterMetricFamily | GaugeMetricFamily]] = {
        "counter": CounterMetricFamily,
        "gauge": GaugeMetricFamily,
    }
    family = kinds[standing.kind](
        PREFIX + standing.name, standing.about, labels=standing.labels
    )
    for values, number in sorted(standing.rows.items()):
        family.add_metric(values, number)
    return family


def _timed(timing: Timing) -> HistogramMetricFamily:
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(
        PREFIX + timing.name, timing.about, labels=timing.labels
    )
    for values, spread in sorted(timing.rows().items(), key=lambda row: row[0]):
        family.add_metric(values, list(_buckets(timing, spread)), spread.seconds)
    return family


def _buckets(timing: Timing, spread: Spread) -> Iterator[tuple[str, float]]:
    edges = [*map(str, timing.edges), "+Inf"]
    yield from zip(edges, map(float, spread.at_most), strict=True)
