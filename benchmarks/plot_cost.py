r"""The picture of what statistics cost, from the records of two benchmarks.

    python benchmarks/bench_statistics.py --shape 24k --latents 64 --latents all \
        --tokens 100k --tokens 1M --tokens 10M --json > statistics.jsonl
    python benchmarks/bench_peers.py --curve 64,256,1024,2304 --tokens 8k --json curve.json
    python benchmarks/plot_cost.py statistics.jsonl curve.json docs/cost.svg

Left, without a model: seconds and memory against tokens. Right, whole commands: ours and
SAEDashboard's against latents. Drawn by Plotly in Chromium.
"""

from __future__ import annotations

import json
import os
import urllib.parse
from pathlib import Path
from typing import Any

import click
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from plotly.subplots import make_subplots

Record = dict[str, Any]

OURS, THEIRS = "#1f6f8b", "#b5541c"
WIDTH, HEIGHT = 900, 360


def figure(statistics: list[Record], curve: list[Record]) -> go.Figure:
    """Two charts beside each other."""
    titles = ("Statistics alone, 24,576 latents, L0 66", "Whole command, demo SAE, 8,000 tokens")
    shown = make_subplots(cols=2, subplot_titles=titles, horizontal_spacing=0.12)
    for latents, dash in ((64, "dot"), (24_576, "solid")):
        rows = [row for row in statistics if row["latents"] == latents]
        for key, scale, unit, colour in (
            ("wall_s", 1, "seconds", OURS),
            ("peak_mb", 1e-3, "GB at the peak", "#6b6b6b"),
        ):
            shown.add_scatter(
                x=[row["tokens"] for row in rows],
                y=[row[key] * scale for row in rows],
                name=f"{latents:,} latents, {unit}",
                line={"color": colour, "dash": dash},
                row=1,
                col=1,
            )
    for name, key, colour in (("saereport", "ours", OURS), ("SAEDashboard 0.8", "theirs", THEIRS)):
        shown.add_scatter(
            x=[row["latents"] for row in curve],
            y=[row[key]["wall_s"] for row in curve],
            name=f"{name}, seconds",
            line={"color": colour},
            row=1,
            col=2,
        )
    shown.update_xaxes(type="log", dtick=1)
    shown.update_yaxes(type="log", dtick=1, col=1)
    shown.update_yaxes(rangemode="tozero", col=2)
    shown.update_xaxes(title_text="tokens", col=1)
    shown.update_xaxes(title_text="latents", col=2, tickvals=[row["latents"] for row in curve])
    shown.update_layout(
        template="plotly_white",
        font={"size": 12},
        width=WIDTH,
        height=HEIGHT,
        margin={"l": 50, "r": 20, "t": 40, "b": 110},
        legend={"orientation": "h", "y": -0.25},
    )
    return shown


def as_svg(shown: go.Figure) -> str:
    """Have a browser draw it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tools:
        path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = tools.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page()
        page.add_script_tag(content=get_plotlyjs())
        address: str = page.evaluate(
            "([given, size]) => Plotly.toImage(given, { format: 'svg', ...size })",
            [json.loads(shown.to_json()), {"width": WIDTH, "height": HEIGHT}],
        )
        browser.close()
    return urllib.parse.unquote(address.partition(",")[2])


@click.command()
@click.argument("statistics", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("curve", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("into", type=click.Path(dir_okay=False, path_type=Path))
def main(statistics: Path, curve: Path, into: Path) -> None:
    """Draw it."""
    lines = [json.loads(line) for line in statistics.read_text().splitlines()]
    into.write_text(as_svg(figure(lines, json.loads(curve.read_text())["cases"])))


if __name__ == "__main__":
    main()
