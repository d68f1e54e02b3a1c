# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The description of the API in the form of OpenAPI, and any such description as a plain page without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from math import inf
from typing import Any

from .forms import DETECTION, DETECTOR, FORMATS, GRANULARITIES
from .recognizer import Abilities

TEXT = {"type": "string"}
FIELDS: dict[str, Any] = {
    "file": {"type": "string", "format": "binary", "description": "The sound or film."},
    "model": TEXT | {"description": "The model's id, whisper-1 or another name of it; it can be left out."},
    "language": TEXT | {"description": "A code or name such as en, fr-FR or german; auto detects it."},
    "prompt": TEXT | {"description": "Text that goes before, for names and style."},
    "hotwords": TEXT | {"description": "Words that are likely to be said."},
    "temperature": {"type": "number", "minimum": 0, "maximum": 1, "default": 0},
    "response_format": TEXT | {"enum": list(FORMATS), "default": "json"},
    "timestamp_granularities[]": {"type": "array", "items": TEXT | {"enum": list(GRANULARITIES)}},
    "stream": {"type": "boolean", "default": False, "description": "Answer with events, one for each segment."},
}
SEARCH: dict[str, Any] = {
    "file": FIELDS["file"],
    "model": TEXT | {"enum": [DETECTOR], "default": DETECTOR},
    **{name: {"type": "number", "minimum": 0} for name in DETECTION},
}
for name, (default, most) in DETECTION.items():
    SEARCH[name] |= {key: value for key, value in (("default", default), ("maximum", most)) if value not in (None, inf)}
PROBLEM = {"description": "What is wrong, in the body error: message, type, param, code."}


def _get(summary: str, said: str, *parameters: str) -> dict[str, Any]:
    named = [{"name": name, "in": "path", "required": True, "schema": TEXT} for name in parameters]
    return {"get": {"summary": summary, "parameters": named, "responses": {"200": {"description": said}}}}


def _audio(
    summary: str, fields: dict[str, Any] = FIELDS, said: str = "The text, in the format asked for."
) -> dict[str, Any]:
    form = {"multipart/form-data": {"schema": {"type": "object", "required": ["file"], "properties": fields}}}
    responses = {"200": {"description": said}, "4XX": PROBLEM, "5XX": PROBLEM}
    return {"post": {"summary": summary, "requestBody": {"required": True, "content": form}, "responses": responses}}


TRANSLATIONS, SPEECH = "/v1/audio/translations", "/v1/audio/speech/timestamps"
DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "paths": {
        "/health": _get("Whether the model can transcribe. Asks for no key.", "It can."),
        "/v1/models": _get("The one model.", "A list."),
        "/v1/models/{id}": _get("The model by any of its names.", "The model.", "id"),
        "/v1/audio/transcriptions": _audio("What is said."),
        TRANSLATIONS: _audio("What is said, in English."),
        SPEECH: _audio("Where somebody speaks.", SEARCH, "A list of start and end, in ms."),
        "/api/ps": _get("What is loaded now.", "The ids of the loaded models."),
        "/metrics": _get("Counters and gauges for Prometheus.", "Prometheus' text format."),
    },
    "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    "security": [{"key": []}, {}],
}
STYLE = "body{font:16px/1.5 sans-serif;max-width:50em;margin:2em auto;padding:0 1em}code{font-weight:bold}"


def document(engine: str, abilities: Abilities) -> dict[str, Any]:
    """The description of the API of one engine, without what its model cannot do."""
    able = {TRANSLATIONS: abilities.translation, SPEECH: abilities.detection}
    paths = {path: said for path, said in DOCUMENT["paths"].items() if able.get(path, True)}
    return DOCUMENT | {"info": {"title": f"Speech to text (anklume.stt, {engine})", "version": "1"}, "paths": paths}


def page(document: dict[str, Any]) -> str:
    """A description as HTML: each address with what it takes. It loads nothing from anywhere."""
    title = escape(document["info"]["title"])
    body = "".join(_entries(document))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f'<h1>{title}</h1><p>The same for programs: <a href="openapi.json">openapi.json</a></p>{body}</html>'
    )


def _entries(document: dict[str, Any]) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method, entry in methods.items():
            yield f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(entry.get('summary', ''))}</p>"
            rows = [(each["name"], each.get("schema", {})) for each in entry.get("parameters", [])]
            for media, content in entry.get("requestBody", {}).get("content", {}).items():
                yield f"<p>Body: {escape(media)}</p>"
                rows += _resolve(document, content.get("schema", {})).get("properties", {}).items()
            if rows:
                yield "<ul>" + "".join(_field(name, schema) for name, schema in rows) + "</ul>"


def _field(name: str, schema: dict[str, Any]) -> str:
    choices = schema.get("enum") or schema.get("items", {}).get("enum") or []
    words = [", ".join(map(str, choices)) or str(schema.get("type", "")), schema.get("description", "")]
    if "default" in schema:
        words.append(f"Default: {schema['default']}")
    return f"<li><code>{escape(name)}</code> {escape('. '.join(word for word in words if word))}</li>"


def _resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """What a reference such as #/components/schemas/Body points to."""
    if "$ref" not in schema:
        return schema
    found = document
    for name in schema["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found
