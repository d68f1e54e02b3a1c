# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Parakeet models that are known by name, and the sizes of their files as the publisher lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Precision = Literal["int8", "float32"]

EUROPEAN = (
    *("bg", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "hr", "hu", "it"),
    *("lt", "lv", "mt", "nl", "pl", "pt", "ro", "ru", "sk", "sl", "sv", "uk"),
)
"""What the third version knows, as its makers list it; it finds out itself which of them is spoken."""


@dataclass(frozen=True)
class ParakeetModel:
    """A model, and the bytes of its files by precision, as its publisher lists them."""

    name: str
    hub_id: str
    languages: tuple[str, ...]
    files: dict[Precision, int]
    licence: str = "CC-BY-4.0"

    @property
    def english_only(self) -> bool:
        """Whether it knows English alone."""
        return self.languages == ("en",)


_INT8, _FLOAT32 = 652_183_999 + 18_202_004, 41_770_866 + 2_435_420_160 + 72_520_893

_TABLE = (
    ParakeetModel("parakeet-v3", "istupakov/parakeet-tdt-0.6b-v3-onnx", EUROPEAN, {"int8": _INT8, "float32": _FLOAT32}),
    # its vocabulary is an eighth, so its files are a little smaller
    ParakeetModel("parakeet-v2", "istupakov/parakeet-tdt-0.6b-v2-onnx", ("en",), {"int8": _INT8, "float32": _FLOAT32}),
)

PARAKEETS = {model.name: model for model in _TABLE}
"""By short name; the first is for everybody, the second for English alone."""


def find_parakeet(name: str) -> ParakeetModel | None:
    """The table's entry for a short name or a hub id."""
    return next((model for model in _TABLE if name in (model.name, model.hub_id)), None)


def is_parakeet(name: str) -> bool:
    """Whether a model is one, by its short name, its hub id or its folder."""
    return name.rstrip("/").rpartition("/")[2].lower().startswith("parakeet-")


def automatic(english: bool) -> ParakeetModel:
    """The model that `auto` means."""
    return PARAKEETS["parakeet-v2" if english else "parakeet-v3"]
