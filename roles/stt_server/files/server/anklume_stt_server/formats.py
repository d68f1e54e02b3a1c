# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answers' formats: json, text, verbose_json, srt, vtt and the events of a stream."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from starlette.responses import JSONResponse, PlainTextResponse, Response

from .forms import Query
from .recognizer import Heard, Segment


def full_text(segments: Sequence[Segment]) -> str:
    """What was said; segments begin with a space where the language wants one."""
    return "".join(segment.text.rstrip() for segment in segments).lstrip()


def render(query: Query, heard: Heard) -> Response:
    """The answer in the format asked for."""
    segments = heard.segments
    if query.format == "text":
        return PlainTextResponse(full_text(segments) + "\n")
    if query.format == "srt":
        return PlainTextResponse("".join(f"{i}\n{_cue(s, ',')}" for i, s in enumerate(segments, 1)))
    if query.format == "vtt":
        return PlainTextResponse("WEBVTT\n\n" + "".join(_cue(s, ".") for s in segments), media_type="text/vtt")
    answer = _result(heard)
    if query.format == "verbose_json":
        answer |= {"task": query.task, "language": heard.language, "duration": round(heard.seconds, 3)}
        if "segment" in query.granularities:
            answer["segments"] = [{**asdict(s), "id": i, "words": None} for i, s in enumerate(segments)]
        if "word" in query.granularities:
            words = (word for segment in segments for word in segment.words or ())
            answer["words"] = [{"word": w.word.strip(), "start": float(w.start), "end": float(w.end)} for w in words]
    return JSONResponse(answer)


def delta(text: str) -> bytes:
    """The event for one more piece of text."""
    return event({"type": "transcript.text.delta", "delta": text})


def done(heard: Heard) -> bytes:
    """The last event."""
    return event({"type": "transcript.text.done", **_result(heard)})


def event(data: dict[str, Any]) -> bytes:
    """A server-sent event."""
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _result(heard: Heard) -> dict[str, Any]:
    seconds = math.ceil(heard.seconds)
    return {"text": full_text(heard.segments), "usage": {"type": "duration", "seconds": seconds}}


def _cue(segment: Segment, point: str) -> str:
    begin, end = (_timestamp(seconds, point) for seconds in (segment.start, segment.end))
    return f"{begin} --> {end}\n{segment.text.strip()}\n\n"


def _timestamp(seconds: float, point: str) -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d}{point}{milliseconds % 1000:03d}"
