# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast a user's own STT server is: long sounds, commands of several clients, memory. As a table, JSON and SVG.

usage: bench_service.py PROJECT [--machine NAME] [--quick] [--force]
       bench_service.py PROJECT --url URL [--pid PID]
                                                 any server with /metrics; its key in STT_API_KEY. PID is its process
                                                 where it runs here, for its memory

The requests are sent on the server's own machine (bench_service_client.py), so that no network counts and the key stays
there. The result goes to PROJECT/bench/.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shlex
import subprocess
import sys
import wave
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".cache" / "collections"))

from ansible_collections.anklume.stt.plugins.module_utils._doctor.gather import on_incus  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import command_on  # noqa: E402

PROGRAM = ROOT / "scripts/bench_service_client.py"
CLIPS = ROOT / "tests/data/clips"
SENTENCES = ROOT / "tests/data/sentences.json"
START = "import json, sys; told = json.loads(sys.stdin.readline()); exec(told['program'])"
ALL = {"minutes": [1, 10, 30, 60], "clients": [1, 4, 8], "each": 10, "command_time": 120}
QUICK = {"minutes": [1], "clients": [1, 4, 8], "each": 3, "command_time": 20}


class BenchError(Exception):
    """Why there are no numbers."""


# --- where -------------------------------------------------------------------------------------


def chosen(inventory: Mapping[str, Any], wanted: str) -> tuple[str, str, str]:
    """The machine to measure, the command that runs a program there, and the language that it is spoken to."""
    variables = inventory.get("_meta", {}).get("hostvars", {})
    servers = inventory.get("role_stt_server", {}).get("hosts", [])
    if not servers:
        raise BenchError("no machine of the inventory has the role stt_server; make sync writes it from infra.yml")
    if wanted and wanted not in servers:
        raise BenchError(f"{wanted} has no STT server; those that have one: {', '.join(servers)}")
    if not wanted and len(servers) > 1:
        raise BenchError(f"which server? MACHINE=name; there are {', '.join(servers)}")
    name = wanted or servers[0]
    machine = {"inventory_hostname": name, **variables.get(name, {})}
    line = f"python3 -c {shlex.quote(START)}"
    word = line if on_incus(machine) else shlex.quote(line)
    return name, command_on(machine, word), str(machine.get("stt_server_language") or "")


def clips(language: str) -> list[str]:
    """The spoken sentences of a language, or those in English, as samples in base64."""
    known = json.loads(SENTENCES.read_text(encoding="utf-8"))
    spoken = [one for one in known if one["clip"].endswith(".wav")]
    of_language = [one for one in spoken if one["language"] == language] or [
        one for one in spoken if one["language"] == "en"
    ]
    found = []
    for one in of_language:
        with wave.open(str(CLIPS / one["clip"])) as source:
            found.append((source.getnframes(), base64.b64encode(source.readframes(source.getnframes())).decode()))
    return [samples for _, samples in sorted(found, reverse=True)]


def results(command: Sequence[str], told: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What the program says where the command runs it, line by line."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(told) + "\n")
        process.stdin.close()
        ended = False
        for line in process.stdout:
            if line.startswith("{"):
                one = json.loads(line)
                ended = ended or "result" in one or "error" in one
                yield one
    if not ended:
        raise BenchError(f"the bench broke off: {shlex.join(command[:4])} ended with {process.returncode}")


def measured(command: Sequence[str], told: Mapping[str, Any]) -> dict[str, Any]:
    """The result, with its progress on the terminal."""
    terminal = sys.stderr.isatty()
    for one in results(command, told):
        if "error" in one:
            print("\r\033[K" if terminal else "", end="", file=sys.stderr)
            raise BenchError(one["error"])
        if "result" in one:
            print("\r\033[K" if terminal else "", end="", file=sys.stderr)
            found: dict[str, Any] = one["result"]
            return found
        if "progress" in one:
            print(
                f"\r\033[K{one['progress']}" if terminal else one["progress"],
                end="" if terminal else "\n",
                file=sys.stderr,
                flush=True,
            )
    raise BenchError("the bench broke off")


# --- how it is shown ---------------------------------------------------------------------------


def seconds(value: float) -> str:
    """A time for people."""
    if value < 10:
        return f"{value:.2f} s"
    return f"{value:.0f} s" if value < 120 else f"{value // 60:.0f} min {value % 60:.0f} s"


def table(title: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with columns that stand under each other, as Markdown has them too."""
    widths = [max(len(row[place]) for row in (title, *rows)) for place in range(len(title))]

    def line(cells: Sequence[str]) -> str:
        first, *others = (
            cell.ljust(width) if not place else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "| " + " | ".join([first, *others]) + " |"

    rule = (
        "|"
        + "|".join("-" * (width + 2) if not place else "-" * (width + 1) + ":" for place, width in enumerate(widths))
        + "|"
    )
    return [line(title), rule, *(line(row) for row in rows)]


def about(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was measured."""
    machine, gpu, model = result["machine"], result["gpu"], result["model"]
    card = f"{gpu['name']}, {gpu['memory_mib']:.0f} MiB, driver {gpu['driver']}" if gpu else "none"
    return [
        ("server", f"{result['host']}, {result['when']}"),
        ("machine", f"{machine['processor']}, {machine['cores']} cores"),
        ("GPU", card),
        ("model", f"{model.get('model', 'unknown')}, {model.get('compute_type', '?')} on {model.get('device', '?')}"),
        ("engine", model.get("engine", "unknown")),
    ]


def page(result: Mapping[str, Any]) -> str:
    """The tables, which are Markdown too."""
    lines = [f"{name:8} {value}" for name, value in about(result)]
    rows = [(f"{one['minutes']} min", seconds(one["seconds"]), f"{one['times']:.1f}") for one in result["sounds"]]
    lines += ["", *table(("sound", "time", "× real time"), rows)]
    rows = [
        (str(one["clients"]), seconds(one["p50"]), seconds(one["p95"]), f"{one['each_second']:.2f}")
        for one in result["commands"]
    ]
    length = f"clients, commands of {result['command_seconds']:.1f} s"
    lines += ["", *table((length, "median", "95 % below", "in a second"), rows)]
    kinds = [("memory of the service", "memory_mib"), ("memory of the GPU", "vram_mib")]
    rows = [
        (name, *(f"{result[kind][when]:.0f}" for when in ("idle", "peak", "after")))
        for name, kind in kinds
        if result[kind]["peak"]
    ]
    if rows:
        lines += ["", *table(("MiB", "idle", "peak", "after"), rows)]
    return "\n".join([*lines, *(f"\n{note}" for note in result["notes"])])


def svg(result: Mapping[str, Any]) -> str:
    """Two plots: how many times faster than speech long sounds are, and what commands wait."""
    speeds = [(f"{one['minutes']} min", [one["times"]]) for one in result["sounds"]]
    waits = [(f"{one['clients']}", [one["p50"], one["p95"]]) for one in result["commands"]]
    known = dict(about(result))
    where = known["GPU"] if result["gpu"] else known["machine"]
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 320" font-family="sans-serif" font-size="13">',
        '<rect width="720" height="320" fill="#fff"/>',
        f'<text x="20" y="26" font-size="14" font-weight="bold">{escape(where)}</text>',
        f'<text x="20" y="46">{escape(known["model"])} · {escape(known["engine"])}</text>',
        *_bars(20, "times faster than speech, by length of the sound", speeds, ["#2a6f97"], "{:.1f}"),
        *_bars(380, "seconds of a command, by clients: median and p95", waits, ["#2a6f97", "#e09f3e"], "{:.2f}"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _bars(
    left: int, title: str, groups: Sequence[tuple[str, list[float]]], colours: Sequence[str], form: str
) -> list[str]:
    top, bottom, width = 110, 285, 320
    most = max((value for _, values in groups for value in values), default=1) or 1
    step = width / max(1, len(groups))
    lines = [
        f'<text x="{left}" y="80" fill="#555" font-size="12">{escape(title)}</text>',
        f'<line x1="{left}" y1="{bottom}" x2="{left + width}" y2="{bottom}" stroke="#999"/>',
    ]
    for place, (name, values) in enumerate(groups):
        bar = min(48.0, 0.8 * step / len(values))
        middle = left + (place + 0.5) * step
        for number, value in enumerate(values):
            height = (bottom - top) * value / most
            x, y = middle + (number - len(values) / 2) * bar, bottom - height
            lines += [
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{bar - 2:.1f}" height="{height:.1f}" fill="{colours[number]}"/>',
                f'<text x="{x + bar / 2 - 1:.1f}" y="{y - 5:.1f}" text-anchor="middle" font-size="11">'
                f"{form.format(value)}</text>",
            ]
        lines.append(f'<text x="{middle:.1f}" y="{bottom + 18}" text-anchor="middle">{escape(name)}</text>')
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Choose, measure, show, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--machine", default="")
    parser.add_argument("--url", default="")
    parser.add_argument("--pid", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--force", action="store_true")
    options = parser.parse_args(arguments)
    told: dict[str, Any] = {**(QUICK if options.quick else ALL), "force": options.force}
    told["program"] = PROGRAM.read_text(encoding="utf-8")
    try:
        if options.url:
            name, command, language = options.url, [sys.executable, "-c", START], ""
            told |= {"url": options.url, "key": os.environ.get("STT_API_KEY", ""), "pid": options.pid}
        else:
            listed = subprocess.run(
                ["ansible-inventory", "-i", str(options.project / "inventory"), "--list"],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            name, line, language = chosen(json.loads(listed.stdout), options.machine)
            command = shlex.split(line)
        result = measured(command, {**told, "clips": clips(language)})
    except BenchError as error:
        print(f"bench-service: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError:
        return 1  # Ansible has said why
    except KeyboardInterrupt:
        return 130
    result |= {"host": name, "when": datetime.now(UTC).isoformat(timespec="minutes")}
    folder = options.project / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    stem = "".join(letter if letter.isalnum() or letter in ".-_" else "-" for letter in name)
    (folder / f"{stem}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    (folder / f"{stem}.svg").write_text(svg(result), encoding="utf-8")
    print(page(result))
    print(f"\nkept in {folder / stem}.json and .svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
