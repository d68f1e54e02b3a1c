# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Prometheus reads at /metrics, in both engines: numbers, and labels whose values no client can choose."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import connections, context
from .addresses import address
from .errors import ApiError
from .guards import Queue

PATH = "/metrics"
ROUTES = {
    "/api/ps": "models",
    "/docs": "docs",
    "/health": "health",
    "/openapi.json": "docs",
    PATH: "metrics",
    "/v1/audio/speech": "speech",
    "/v1/audio/speech/timestamps": "timestamps",
    "/v1/audio/transcriptions": "transcriptions",
    "/v1/audio/translations": "translations",
    "/v1/chat/completions": "chat",
    "/v1/models": "models",
}
MODEL = "/v1/models/"  # and a name after it
OTHER = "other"
LEFT = 499  # as nginx has it: the client went before there was an answer
# the codes of our errors; what a service behind Speaches answers may have any
CODES = frozenset(
    {
        *("audio_too_long", "audio_too_short", "decoder_lost", "field_too_large", "headers_too_large"),
        *("invalid_api_key", "model_not_found", "model_not_loaded", "no_storage", "queue_full", "rate_limit_exceeded"),
        *("request_too_large", "stopping", "stream_failed", "too_many_connections", "too_many_files"),
        *("too_many_sessions", "too_many_uploads", "unsupported_media", "upload_too_slow"),
    }
)
SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
FACTOR = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, that nobody reads
REGISTRY = CollectorRegistry()
REGISTRY.register(PROCESS_COLLECTOR)
duration = Histogram(
    "stt_request_duration_seconds",
    "From the request to the end of the answer, by route and status; 499: the client left",
    ["route", "status"],
    buckets=SECONDS,
    registry=REGISTRY,
)
audio = Counter("stt_audio_seconds", "Sound that was worked on", registry=REGISTRY)
processing = Counter("stt_processing_seconds", "Time that the work on it took", registry=REGISTRY)
factor = Histogram(
    "stt_real_time_factor", "Time of the work over length of the sound, by request", buckets=FACTOR, registry=REGISTRY
)
errors = Counter(
    "stt_errors", "Answers that are errors, by their code, or else their status", ["code"], registry=REGISTRY
)
for _known in CODES:
    errors.labels(_known)  # from 0 on: of a series that begins with 1 Prometheus sees no increase
info = Gauge(
    "stt_model_info", "The model that is served", ["engine", "model", "device", "compute_type"], registry=REGISTRY
)


class Now(Collector):
    """What is looked at when somebody asks, and costs nothing before."""

    def __init__(self) -> None:
        self.queue = Queue(1, 0)
        self.loaded: Callable[[], int] = lambda: 0

    def collect(self) -> Iterator[Metric]:
        """The queue, the models in memory, and what short context had to hear again."""
        queue = self.queue
        waiting = max(0, queue.taken - queue.workers)
        for name, said, value in (
            ("stt_requests_in_progress", "Requests with sound that are worked on", queue.taken - waiting),
            ("stt_queue_length", "Requests with sound that wait", waiting),
            ("stt_queue_limit", "Requests with sound that may wait", queue.places - queue.workers),
            ("stt_models_loaded", "Models for speech to text in memory", self.loaded()),
        ):
            yield GaugeMetricFamily(name, said, value)
        for name, said, which in (
            ("stt_short_context", "Sounds heard with short context", "short"),
            ("stt_short_context_redone", "Those that were heard again with full context", "again"),
        ):
            yield CounterMetricFamily(name, said, context.counts[which])


now = Now()
REGISTRY.register(now)


def worked(sound: float, spent: float) -> None:
    """So many seconds of sound took so many seconds of work."""
    audio.inc(sound)
    processing.inc(spent)
    if sound > 0:
        factor.observe(spent / sound)


def refused(error: ApiError) -> None:
    """An error that was answered outside of the application."""
    errors.labels(_code(error.status, error.body)).inc()


connections.told.append(refused)


def _code(status: int, body: object) -> str:
    told = body.get("error") if isinstance(body, dict) else None
    code = told.get("code") if isinstance(told, dict) else None
    return code if isinstance(code, str) and code in CODES else str(status)


def route(path: str) -> str:
    """The label of a path."""
    plain = address(path)
    return ROUTES.get(plain) or (ROUTES["/v1/models"] if plain.startswith(MODEL) else OTHER)


class Measure:
    """Counts and times all that the application inside answers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status, body = time.monotonic(), LEFT, b""
        where = route(scope["path"])  # before anything inside changes it

        async def seen(message: Message) -> None:
            nonlocal status, body
            if message["type"] == "http.response.start":
                status = message["status"]
            elif status >= 400 and not body:
                body = message.get("body", b"")
            await send(message)

        try:
            await self.app(scope, receive, seen)
        finally:
            duration.labels(where, status).observe(time.monotonic() - started)
            if status >= 400 and status != LEFT:
                errors.labels(_code(status, _read(body))).inc()


def _read(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return None


def answer() -> Response:
    """All of it, as Prometheus reads it."""
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)
