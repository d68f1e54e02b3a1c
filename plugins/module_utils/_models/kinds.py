# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of models that an STT server loads: which files each has, and what its README.md has to say.

Speaches tells a model's kind by that README.md alone; we tell it by the name, which Speaches takes apart besides.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error

_PIPER_NAME = re.compile(r"piper-(?P<language>[a-z]{2,3})_[A-Z]{2}-(?P<voice>[^-]+)-(x_low|low|medium|high)")


@dataclass(frozen=True)
class Kind:
    """One kind. `marker` is the file that makes a folder one of its models, `folders` are those that lie in it."""

    what: str
    required: tuple[str, ...]
    wanted: re.Pattern[str]
    marker: str
    library: str
    tags: tuple[str, ...]
    folders: tuple[str, ...] = ()

    def wants(self, name: str) -> bool:
        """Whether whoever loads the model, or the listing of models by Speaches, uses this file."""
        return self.wanted.fullmatch(name) is not None

    def kept_as(self, name: str) -> str:
        """The name under which a file of somebody's folder or archive is kept; empty where it is not wanted.

        Piper's own voices are two files, NAME.onnx and NAME.onnx.json.
        """
        if self is PIPER and name.endswith((".onnx", ".onnx.json")):
            return "model.onnx" if name.endswith(".onnx") else "config.json"
        return name if self.wants(name) else ""

    def place(self, name: PurePosixPath) -> tuple[PurePosixPath, str]:
        """The folder of the model that a file of an archive belongs to, and the name that it is kept as."""
        begin = next((number for number, part in enumerate(name.parts) if part in self.folders), len(name.parts) - 1)
        return PurePosixPath(*name.parts[:begin]), self.kept_as("/".join(name.parts[begin:]))

    def missing(self, names: Iterable[str]) -> list[str]:
        """Those of the required files that are not among the names."""
        there = list(names)
        return [pattern for pattern in self.required if not fnmatch.filter(there, pattern)]


WHISPER = Kind(
    "a Whisper model in CTranslate2's format",
    ("config.json", "model.bin", "tokenizer.json", "vocabulary.*"),
    re.compile(r"config\.json|preprocessor_config\.json|model\.bin|tokenizer\.json|vocabulary\.[a-z]+|README\.md"),
    "model.bin",
    "ctranslate2",
    ("automatic-speech-recognition",),
)
PIPER = Kind(
    "a voice of Piper",
    ("model.onnx", "config.json"),
    re.compile(r"model\.onnx|config\.json|README\.md"),
    "model.onnx",
    "onnx",
    ("text-to-speech", "speaches", "piper"),
)
KOKORO = Kind(
    "a Kokoro model",
    ("model.onnx", "voices.bin"),
    re.compile(r"model\.onnx|voices\.bin|README\.md"),
    "model.onnx",
    "onnx",
    ("text-to-speech", "speaches", "kokoro"),
)
SPEAKING = (PIPER, KOKORO)


def _parakeet(infix: str) -> Kind:
    files = [f"{part}{infix}.onnx" for part in ("encoder-model", "decoder_joint-model")]
    names = "|".join(map(re.escape, ("config.json", "vocab.txt", *files, f"{files[0]}.data", "README.md")))
    required = ("config.json", "vocab.txt", *files)
    tags = ("automatic-speech-recognition",)
    return Kind("a Parakeet in ONNX files", required, re.compile(names), "vocab.txt", "onnx", tags)


PARAKEET = {"int8": _parakeet(".int8"), "float32": _parakeet("")}
"""By precision: publishers have both in one place, and only one is wanted. Weights of 2 GiB and more lie beside."""


_VOSK_FOLDERS = ("am", "conf", "graph", "ivector", "rescore", "rnnlm")
VOSK = Kind(
    "a Vosk model",
    ("am/final.mdl", "conf/model.conf", "conf/mfcc.conf", "graph/HCL*.fst"),
    re.compile(rf"README|README\.md|LICEN[CS]E|(?:{'|'.join(_VOSK_FOLDERS)})/.+"),
    "am/final.mdl",
    "vosk",
    ("automatic-speech-recognition",),
    _VOSK_FOLDERS,
)
_VOSK_NAME = re.compile(r"vosk-(?:model-)?(?:small-|big-)?(?P<language>[a-z]{2})(?:-.+)?")
_LANGUAGE = re.compile(r"language\s*:")
_VOSK_COUNTRIES = {"cn": "zh", "vn": "vi", "kz": "kk", "ua": "uk"}
"""Languages that the publisher calls by their countries."""


def kind_of(model: str, precision: str = "int8") -> Kind:
    """The kind of a model, by its id on the hub, and by its precision where it comes in several."""
    name = model.rpartition("/")[2].lower()
    if name.startswith("vosk-"):
        return VOSK
    if name.startswith("parakeet-"):
        return PARAKEET[precision]
    if name.startswith("piper-"):
        return PIPER
    return KOKORO if "kokoro" in name else WHISPER


def check_name(model: str) -> None:
    """Refuse a name that Speaches cannot take apart: one such voice breaks its listing of all models."""
    if kind_of(model) is PIPER and not _PIPER_NAME.fullmatch(model.rpartition("/")[2]):
        raise Error(
            f"{model!r} is no name of a voice: Speaches wants owner/piper-LANGUAGE_COUNTRY-VOICE-QUALITY, as in"
            " speaches-ai/piper-pl_PL-gosia-medium"
        )


def voice_of(model: str) -> tuple[str, str]:
    """The name and the language of a Piper voice, by its id; both empty for any other model."""
    found = _PIPER_NAME.fullmatch(model.rpartition("/")[2])
    return (found["voice"], found["language"]) if found else ("", "")


def vosk_language(model: str) -> str:
    """The language of a Vosk model, by its id; empty where the name does not tell it."""
    found = _VOSK_NAME.fullmatch(model.rpartition("/")[2].lower())
    code = found["language"] if found else ""
    return _VOSK_COUNTRIES.get(code, code)


# --- metadata ----------------------------------------------------------------------------------


def with_metadata(readme: str, model: str) -> str:
    """A README.md whose front matter says what the model is: Speaches lists none without.

    Everything else in it stays as the publisher wrote it.
    """
    kind = kind_of(model)
    match = re.match(r"\s*---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", readme, re.DOTALL | re.MULTILINE)
    lines = match[1].splitlines() if match else []
    rest = readme[match.end() :] if match else readme
    wanted_library = f"library_name: {kind.library}"
    if any(re.match(r"library_name\s*:", line) for line in lines):
        new = [wanted_library if re.match(r"library_name\s*:", line) else line for line in lines]
    else:
        new = [*lines, wanted_library]
    for tag in kind.tags:
        new = _with_tag(new, tag)
    if kind is PIPER:
        new = _with_language(new, voice_of(model)[1])
    if kind is VOSK and vosk_language(model) and not any(_LANGUAGE.match(line) for line in new):
        new.append(f"language: {vosk_language(model)}")
    if match and new == lines:
        return readme
    return "\n".join(["---", *new, "---", rest])


def check_described(model: str, readme: str) -> None:
    """Refuse a Vosk model of which nobody says what it hears: it does not know that itself."""
    if kind_of(model) is VOSK and not any(_LANGUAGE.match(line) for line in readme.splitlines()):
        raise Error(
            f"{model}: neither its name nor a README.md in it says what it hears: call it owner/vosk-LANGUAGE-NAME, or"
            " give it a README.md with the lines ---, language: CODE and ---"
        )


def without_dither(config: str) -> str:
    """A Vosk model's mfcc.conf that adds no noise to the sound: with it the text varies from run to run."""
    lines = config.splitlines()
    if [line for line in lines if line.startswith("--dither=")] == ["--dither=0"]:
        return config
    return "\n".join([*(line for line in lines if not line.startswith("--dither=")), "--dither=0", ""])


def amended(model: str, file: str, text: str) -> str:
    """A file of a model as it has to be for whoever loads it; all other files stay as the publisher made them."""
    return with_metadata(text, model) if file == "README.md" else without_dither(text)


def amendable(kind: Kind) -> tuple[str, ...]:
    """The files that `amended` is about."""
    return ("README.md", "conf/mfcc.conf") if kind is VOSK else ("README.md",)


def _block(lines: list[str], number: int) -> int:
    """Where the value ends that begins in a line."""
    end = number + 1
    while end < len(lines) and re.match(r"\s*-\s|\s+\S|\s*$", lines[end]):
        end += 1
    return end


def _with_tag(lines: list[str], tag: str) -> list[str]:
    """Front matter with a tag among its tags, whether these are a block, a flow or a single word."""
    for number, line in enumerate(lines):
        head = re.match(r"tags\s*:\s*(.*?)\s*(?:#.*)?$", line)
        if not head:
            continue
        block = " ".join([head[1], *lines[number + 1 : _block(lines, number)]])
        if re.search(rf"(?<![\w-]){tag}(?![\w-])", block):
            return lines
        before, after = lines[:number], lines[number + 1 :]
        if head[1].startswith("["):
            return [*before, line.replace("[", f"[{tag}" if head[1] == "[]" else f"[{tag}, ", 1), *after]
        if head[1]:
            return [*before, "tags:", f"- {tag}", f"- {head[1]}", *after]
        item = re.match(r"\s*(?=-\s)", after[0]) if after else None
        return [*before, line, f"{item[0] if item else ''}- {tag}", *after]
    return [*lines, "tags:", f"- {tag}"]


def _with_language(lines: list[str], language: str) -> list[str]:
    """Front matter with exactly one language."""
    for number, line in enumerate(lines):
        head = re.match(r"language\s*:\s*(.*?)\s*(?:#.*)?$", line)
        if head:
            end = _block(lines, number)
            said = re.findall(r"[\w-]+", " ".join([head[1], *(each.strip(" -") for each in lines[number + 1 : end])]))
            return lines if len(said) == 1 else [*lines[:number], f"language: {language}", *lines[end:]]
    return [*lines, f"language: {language}"]
