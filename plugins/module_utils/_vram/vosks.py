# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Vosk models that are known by name, and their archives as the publisher lists them.

Sizes are those of the publisher's list of models; digests are those that several projects, which have no part in each
other, pin for the same archives. Models of 1 GB and more hear better, and have to be given by id.
"""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import FitError

PUBLISHER = "https://alphacephei.com/vosk/models"
OWNER = "alphacep/"
"""Whose models come from there, each as an archive of its name."""


@dataclass(frozen=True)
class VoskModel:
    """A model, and its archive as its publisher lists it."""

    name: str
    language: str
    archive: str
    size: int
    sha256: str
    licence: str = "Apache-2.0"

    @property
    def hub_id(self) -> str:
        """Its id: no hub has it, but it is named and kept as if one had."""
        return OWNER + self.archive.removesuffix(".zip")

    @property
    def english_only(self) -> bool:
        """Whether it knows English alone."""
        return self.language == "en"


_TABLE = (
    VoskModel(
        "vosk-small-en",
        "en",
        "vosk-model-small-en-us-0.15.zip",
        41_205_931,
        "30f26242c4eb449f948e42cb302dd7a686cb29a3423a8367f99ff41780942498",
    ),
    VoskModel(
        "vosk-small-fr",
        "fr",
        "vosk-model-small-fr-0.22.zip",
        42_233_323,
        "cabf6180e177eb9b3a9a9d43a437bd5e549f3a7d09525e5d69a3fed787be12ad",
    ),
    VoskModel(
        "vosk-small-de",
        "de",
        "vosk-model-small-de-0.15.zip",
        46_499_967,
        "b7e53c90b1f0a38456f4cd62b366ecd58803cd97cd42b06438e2c131713d5e43",
    ),
    VoskModel(
        "vosk-small-es",
        "es",
        "vosk-model-small-es-0.42.zip",
        39_817_833,
        "09b239888f633ef2f0b4e09736e3d9936acfd810bc65d53fad45261762c6511f",
    ),
    VoskModel(
        "vosk-small-it",
        "it",
        "vosk-model-small-it-0.22.zip",
        49_665_141,
        "9ec65e75861d1c6c2e457cccd932705340dcdf233f5b239f00733b4de0bf3267",
    ),
    VoskModel(
        "vosk-small-nl",
        "nl",
        "vosk-model-small-nl-0.22.zip",
        40_441_176,
        "039811c3b829de64e4f123a9f684a53784005b212a346ac0b899dc7efce2ed0a",
    ),
    VoskModel(
        "vosk-small-pl",
        "pl",
        "vosk-model-small-pl-0.22.zip",
        52_979_372,
        "c4cd16498ea544f446f9e9a55cbd602b71cfe5a2b6f2b0834d81e1b6fce15f0d",
    ),
    VoskModel(
        "vosk-small-ru",
        "ru",
        "vosk-model-small-ru-0.22.zip",
        46_236_750,
        "961d5ff98a17f4aa6de69864d0aa71fa5bac682301d2b5d17a3f24c5c99a46d4",
    ),
)

VOSKS = {model.name: model for model in _TABLE}
"""By short name."""


def find_vosk(name: str) -> VoskModel | None:
    """The table's entry for a short name or an id."""
    return next((model for model in _TABLE if name in (model.name, model.hub_id)), None)


def is_vosk(name: str) -> bool:
    """Whether a model is one, by its short name, its id or its folder."""
    return name.rstrip("/").rpartition("/")[2].lower().startswith("vosk-")


def vosk_for(language: str) -> VoskModel:
    """The model that `auto` means: a Vosk model knows one language."""
    model = next((model for model in _TABLE if model.language == language.partition("-")[0].lower()), None)
    if model is None:
        said = f"no model of Vosk is known by name for {language}" if language else "Vosk's models know one language"
        raise FitError(
            f"{said}: set stt_server_language to {', '.join(each.language for each in _TABLE)}, or stt_server_model to"
            " the id of a model"
        )
    return model
