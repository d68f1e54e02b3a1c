# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write docs/reference/vram.md and docs/images/vram-parts.svg from the memory model; --check only compares.

usage: vram_docs.py [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import mean

import generated

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".cache" / "collections"))

from ansible_collections.anklume.stt.plugins.module_utils._vram import compute_types, explain, gpus, published  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._vram.estimate import (  # noqa: E402
    AUDIO,
    DRIVER,
    KEPT,
    MARGIN,
    MEASURED,
    PUBLISHED,
    USUAL,
    Bounds,
    Serving,
    bounds,
    file_bytes,
    parameters,
)
from ansible_collections.anklume.stt.plugins.module_utils._vram.models import MODELS  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._vram.verdict import (  # noqa: E402
    Candidate,
    Place,
    choose,
    judge,
    subject_of,
)

PAGE = ROOT / "docs" / "reference" / "vram.md"
PLOT = ROOT / "docs" / "images" / "vram-parts.svg"
FIGURES = ROOT / "docs" / "data" / "published-memory.csv"
FIGURES_H100 = ROOT / "docs" / "data" / "memory-nvidia-h100.csv"
PHASES = ("idle", "beam 5, long", "fallback", "batch 8", "batch 8, long")

CARDS = (
    "RTX 3050 4GB",
    "GTX 1060 6GB",
    "RTX 2060",
    "RTX 4060",
    "GTX 1080 Ti",
    "RTX 3060",
    "RTX 4060 Ti 16GB",
    "RTX 3090",
)
COLUMNS = ("float16", "int8", "float32")
SERVINGS = (Serving(8), Serving(1))
SHOWN = ("tiny", "base", "small", "medium", "large-v3", "large-v3-turbo", "distil-large-v3.5")


def rows(*cells: tuple[object, ...]) -> str:
    """A Markdown table from its head and its rows."""
    head, *body = (["" if cell is None else str(cell) for cell in row] for row in cells)
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def mib_or_dash(value: float | None) -> str:
    """A figure of the quality table, or a dash."""
    return "–" if value is None else f"{value:g}"


def model_table() -> str:
    """What the models are."""
    head = ("model", "parameters, M", "file, MB", "languages", "errors, %", "errors with faster-whisper, %", "speed")
    return rows(
        head,
        *(
            (
                f"`{name}`",
                f"{parameters(model.dims) / 1e6:.0f}",
                f"{file_bytes(model.dims, model.saved) / 1e6:.0f}",
                "English" if model.english_only else model.languages,
                mib_or_dash(model.quality.wer),
                mib_or_dash(model.quality.wer_here),
                mib_or_dash(model.quality.speed_here),
            )
            for name, model in MODELS.items()
        ),
    )


def type_table() -> str:
    """What compute types end up in, device by device."""
    devices = [
        ("6.0, 6.2 and before", compute_types.cuda_support((6, 0))),
        ("6.1 (GTX 10, P40)", compute_types.cuda_support((6, 1))),
        ("7.x (GTX 16, RTX 20, T4)", compute_types.cuda_support((7, 5))),
        ("8.0 and later (RTX 30, 40, 50)", compute_types.cuda_support((8, 6))),
        ("processor", compute_types.cpu_support()),
    ]
    requests = [request for request in compute_types.REQUESTS if request != "float32"]
    return rows(
        ("compute capability", *(f"`{request}`" for request in requests)),
        *(
            (name, *(compute_types.effective(request, support).compute_type or "refused" for request in requests))
            for name, support in devices
        ),
    )


def card_table(card: str) -> str:
    """The verdicts on one card, served in batches and one by one."""
    place = Place(gpus.find_gpu(card))
    head: list[object] = ["model"]
    head += [f"`{kind}`, batch {serving.batch_size}" for serving in SERVINGS for kind in COLUMNS]
    body: list[tuple[object, ...]] = []
    for name in MODELS:
        subject = subject_of(name)
        assert subject is not None
        judgements = [judge(Candidate(subject, kind, serving), place) for serving in SERVINGS for kind in COLUMNS]
        body.append((f"`{name}`", *(explain.cell(judgement) for judgement in judgements)))
    chosen = choose(None, "auto", place, Serving(), policy="tight")
    lines = "\n".join(f"{name}: {value}" for name, value in explain.variables(chosen).items())
    return f"{rows(tuple(head), *body)}\n\n`auto` chooses\n\n```yaml\n{lines}\n```"


def error_summary(group: str, figures: list[published.Figure]) -> str:
    """The errors of a group of published figures in words."""
    errors = [abs(figure.error) for figure in figures if figure.group == group]
    return f"{len(errors)} {group} figures: largest error {max(errors):.1%}, mean {mean(errors):.1%}"


def measured_summary(measured: list[published.Measured]) -> str:
    """How far our figures are from those of the H100."""
    busy = [each for each in measured if each.busy]
    asked = [abs(each.shapes / each.asked - 1) for each in busy]
    worst = [each.figure.error for each in busy if each.worst]
    whole = [abs(each.figure.error) for each in busy]
    return (
        f"- what CTranslate2 asks for, from shapes alone: largest error {max(asked):.1%}, mean {mean(asked):.1%}\n"
        f"- the process: largest error {max(whole):.1%}, mean {mean(whole):.1%}; "
        f"in the worst cases at most {-min(worst):.1%} too little"
    )


def measured_table(measured: list[published.Measured]) -> str:
    """The H100's figures beside ours."""

    def both(figure: published.Figure) -> str:
        return f"{figure.reported:.0f} / {figure.ours:.0f}"

    found = {(each.model, each.compute_type, each.phase): each.figure for each in measured}
    runs = [run for run in dict.fromkeys((each.model, each.compute_type) for each in measured) if run[1] != "bfloat16"]
    return rows(
        ("model", *PHASES),
        *((f"`{model}` {kind}", *(both(found[model, kind, phase]) for phase in PHASES)) for model, kind in runs),
    )


def page() -> str:
    """The whole page."""
    with FIGURES.open(encoding="utf-8") as lines:
        figures = published.read_figures(lines)
    with FIGURES_H100.open(encoding="utf-8") as lines:
        measured = published.read_measured(lines)
    summary = "\n".join(f"- {error_summary(group, figures)}" for group in ("calibration", "processor", "independent"))
    legend = ", ".join(f"{explain.MARKS[word]} {word.replace('_', ' ')}" for word in explain.MARKS)
    cards = "\n\n".join(
        f"### {gpus.find_gpu(card).total / 1024:.0f} GB: {card}, compute capability "
        f"{'.'.join(map(str, gpus.find_gpu(card).capability))}\n\n{card_table(card)}"
        for card in CARDS
    )
    return f"""<!-- Written by scripts/vram_docs.py. Do not edit: change the script or plugins/module_utils/_vram. -->
# Which model fits which GPU

The role `stt_server` asks this before it installs anything, and you can ask it yourself:

```
make fit                   # the GPU of this machine
make fit GPU="RTX 3060"    # a GPU that you plan to buy
```

The answer comes from a model of memory that is computed from the shapes of the network and CTranslate2's source.
It is not the well-known table of 10, 6, 5, 2 and 1 GB, which is PyTorch's.

## What a verdict means

| verdict | meaning | in the role |
|---|---|---|
| `fits` | room for the worst case: every window full of words, every worker busy | installed |
| `tight` | room for ordinary speech, not for the worst case | installed with a warning [1] |
| `does_not_fit` | no room for ordinary speech | refused, with what fits instead |
| `unsupported` | CTranslate2 refuses the compute type on this device | refused, with what works instead |

[1] Refused with `stt_server_vram_policy: fits`.

Every figure is judged with {MARGIN:.0%} more. What a GPU has to share out is its memory less what the driver keeps less
`stt_server_vram_others`; what happens to be free at the moment is told and not judged by.

## Where the memory goes

![Memory of each model in float16 and int8, part by part](../images/vram-parts.svg)

Device memory of the server process in MiB, CTranslate2 {".".join(map(str, compute_types.CTRANSLATE2))}: loaded, on
ordinary speech, at worst. Batches of 8 windows are Speaches' way; one by one is faster-whisper's plain transcription,
which at worst falls back to sampling and then keeps five copies of the cross-attention cache.

{parts_table()}

## Compute types

What a compute type ends up in, for a model saved in float16. `int8` is no size of its own: it is `int8_float16` on a
GPU of capability 7.0 or more, and `int8_float32` on 6.1 and on a processor. Only `default` falls back in silence.
On capability 12.0 (RTX 50) `int8` works from CTranslate2 4.7.0 on. A processor does `int16` only if it is Intel's.

{type_table()}

## Models

Errors are word error rates of the Open ASR leaderboard on English, speed is seconds heard per second there with
faster-whisper. A larger model in int8 hears better than a smaller one in float16.

{model_table()}

## Common GPUs

The largest need in MiB and the verdict: {legend}. Memory is nominal less what the driver keeps
(the larger of {DRIVER} MiB and {gpus.DRIVER_SHARE:.0%}).

{cards}

## How good the figures are

{summary}

What no shape tells was fitted on the calibration figures (CUDA context {PUBLISHED.context} MiB, driver {DRIVER} MiB,
half-filled blocks of CUDA's memory pool {PUBLISHED.pool:.0%}) and, for a processor, on the processor figures
(recording {AUDIO} MiB, memory kept {KEPT:.0%}): neither tests them. The independent figures are of a data-centre
card under CUDA 11 and older than all others.

{published.figures_table(figures)}

## Measured

`scripts/measure_memory.py` on an NVIDIA H100 80GB with driver 580, CTranslate2 4.8.5 and cuBLAS 12.9: six models of
true size with random weights in five compute types, {len(measured)} phases (docs/data/memory-nvidia-h100.csv).

{measured_summary(measured)}

Fitted on them: CUDA context and cuBLAS {MEASURED.context} MiB, pool {MEASURED.pool:.0%}. This driver's pool wastes more
than that of the published figures, and a large chip has a larger context. Verdicts count on this pool everywhere, on
this context for chips of data centres, and on {USUAL.context} MiB for all other cards: none of those was at hand.

The process in MiB, as measured / as computed; "long" is a window full of words:

{measured_table(measured)}
"""


def parts_table() -> str:
    """At rest, usual and worst of the models most used."""

    def cell(need: Bounds) -> str:
        return f"{need.idle:.0f} / {need.usual.peak:.0f} / {need.worst.peak:.0f}"

    kinds = ("float16", "int8_float16", "int8_float32")
    head = ("model", *(f"`{kind}`, batch {serving.batch_size}" for serving in SERVINGS for kind in kinds))
    return rows(
        head,
        *(
            (f"`{name}`", *(cell(bounds(MODELS[name].dims, kind, serving)) for serving in SERVINGS for kind in kinds))
            for name in SHOWN
        ),
    )


# --- the plot --------------------------------------------------------------------------------------------------------
# colours that stay apart for colour-blind eyes (Okabe and Ito)
PARTS = (
    ("context", "process", "#999999"),
    ("weights", "weights", "#0072b2"),
    ("projection", "projection copy", "#56b4e9"),
    ("usual", "ordinary speech", "#009e73"),
    ("worst", "worst case", "#e69f00"),
)
LEFT, TOP, WIDTH, BAR, GAP = 190, 64, 640, 15, 12


def plot() -> str:
    """Bars of stacked parts, two for each model: float16 above int8, in batches of 8."""
    needs = [(name, kind, bounds(MODELS[name].dims, kind, Serving())) for name in MODELS for kind in COLUMNS_SHOWN]
    scale = WIDTH / (max(need.worst.peak for _, _, need in needs) * 1.04)
    height = TOP + len(MODELS) * (2 * BAR + GAP) + 40
    draw = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 90} {height}" '
        'font-family="sans-serif" font-size="11">',
        "<title>Memory of Whisper models under CTranslate2</title>",
        '<rect width="100%" height="100%" fill="white"/>',
        '<text x="10" y="20" font-size="14">GPU memory of the server process, MiB (batch 8, beam 5)</text>',
    ]
    for number, (_, label, colour) in enumerate(PARTS):
        x = LEFT + number * 125
        draw.append(
            f'<rect x="{x}" y="32" width="11" height="11" fill="{colour}"/><text x="{x + 16}" y="42">{label}</text>'
        )
    for gib in (1, 2, 4, 6, 8):
        x = LEFT + gib * 1024 * scale
        if x < LEFT + WIDTH:
            draw.append(f'<line x1="{x:.1f}" y1="{TOP - 4}" x2="{x:.1f}" y2="{height - 30}" stroke="#dddddd"/>')
            draw.append(f'<text x="{x:.1f}" y="{height - 14}" text-anchor="middle">{gib} GiB</text>')
    for number, (name, kind, need) in enumerate(needs):
        y = TOP + (number // 2) * (2 * BAR + GAP) + (number % 2) * BAR
        if number % 2 == 0:
            draw.append(f'<text x="{LEFT - 62}" y="{y + BAR + 4}" text-anchor="end" font-size="12">{name}</text>')
        draw.append(f'<text x="{LEFT - 6}" y="{y + 11}" text-anchor="end" fill="#555555">{kind.split("_")[0]}</text>')
        draw += bar(need, y, scale)
    return "\n".join([*draw, "</svg>", ""])


COLUMNS_SHOWN = ("float16", "int8_float16")


def bar(need: Bounds, y: float, scale: float) -> list[str]:
    """One bar with the number of the worst case at its end."""
    sizes = {
        "context": need.usual.context,
        "weights": need.usual.weights,
        "projection": need.usual.projection,
        "usual": need.usual.activations,
        "worst": need.worst.peak - need.usual.peak,
    }
    drawn, x = [], float(LEFT)
    for part, _, colour in PARTS:
        width = sizes[part] * scale
        if width >= 0.05:
            drawn.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR - 2}" fill="{colour}"/>')
        x += width
    drawn.append(f'<text x="{x + 4:.1f}" y="{y + 11}">{need.worst.peak:.0f}</text>')
    return drawn


def main(check: bool) -> int:
    """Write both files, or say which of them is not what it should be."""
    contents = {str(path.relative_to(ROOT)): text for path, text in ((PAGE, page()), (PLOT, plot()))}
    return generated.write(contents, "vram_docs.py", check)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
