# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP API: health, models, transcriptions, translations, where somebody speaks, and its own description."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, BinaryIO

from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from . import docs, formats, forms, metrics, multipart, voice
from .addresses import Addresses
from .audio import PROCESSES, RATE, decode
from .connections import live_with_few_files
from .engine import Engine
from .errors import ApiError, OpenAiErrors
from .forms import Query, Search
from .guards import Queue, Uploads
from .keys import ApiKey
from .recognizer import Heard, Step
from .settings import Settings
from .turns import SHORT, Turns

log = logging.getLogger(__name__)
LONG = 600  # seconds of sound
LONG_NICE = 10  # with which what is longer than a command is decoded
EVENTS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]


class Service:
    """What all requests share: the engine, its worker threads and the queue in front of them."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self.settings, self.engine = settings, engine
        self.names = {"", engine.name, *forms.NAMES, *settings.model_aliases}
        self.workers = ThreadPoolExecutor(settings.workers, "inference")
        self.decoders = ThreadPoolExecutor(PROCESSES, "decoding")
        self.turns = Turns(settings.workers)
        # how long a sound is shows when it is decoded; of the longer ones few are held in memory at once
        longest = settings.max_audio_seconds
        self.lanes: list[tuple[float, Any]] = [(min(SHORT, longest), contextlib.nullcontext())]
        for most in (LONG, longest):
            if most > self.lanes[-1][0]:
                self.lanes.append((min(most, longest), asyncio.Semaphore(settings.workers + 1)))
        self.queue = metrics.now.queue = Queue(settings.workers, settings.queue_length)

    def check_model(self, name: str) -> None:
        """A client can name the configured model only."""
        if name not in self.names:
            raise ApiError(404, f"The model '{name}' does not exist", "model", "model_not_found")

    async def results(self, query: Query) -> AsyncIterator[Heard]:
        """What is recognised, after each step of the work; leaving the loop stops it."""
        async with self._sound(query.file) as samples:
            seconds = left = len(samples) / RATE
            heard, spent, last = Heard(seconds), 0.0, False
            work = self.engine.transcribe(samples, query, self.turns.came(seconds))
            try:
                while not last:
                    async with self.turns.turn(left):
                        started = time.monotonic()
                        step: Step = await _in_thread(self.workers, next, work)
                        spent += time.monotonic() - started
                    left, last = step.left, step.last
                    heard.add(step)
                    yield heard
            finally:
                with contextlib.suppress(RuntimeError):  # when the server stops there are no threads left for it
                    await _in_thread(self.workers, work.close)
                self.queue.took(spent)
                metrics.worked(seconds - (0 if last else left), spent)
                log.info("%.1f s of audio: worked %.2f s, real-time factor %.3f", seconds, spent, spent / seconds)

    async def speech(self, search: Search) -> list[dict[str, int]]:
        """Where somebody speaks, in milliseconds."""
        async with self._sound(search.file) as samples:
            found, last = [], False
            work = voice.places(samples, partial(self.engine.find_speech, **search.options))
            while not last:
                async with self.turns.turn(len(samples) / RATE):
                    places, last = await _in_thread(self.workers, next, work)
                found += [{end: place * 1000 // RATE for end, place in each.items()} for each in places]
            return found

    @contextlib.asynccontextmanager
    async def _sound(self, file: BinaryIO) -> AsyncIterator[Any]:
        """The samples of a file; as long as they are used they take one of the places for their length."""
        for most, places in self.lanes:
            async with places:
                try:
                    samples = await _in_thread(self.decoders, decode, file, most, LONG_NICE if most > SHORT else 0)
                except ApiError as error:
                    if error.body["error"]["code"] != "audio_too_long" or most == self.settings.max_audio_seconds:
                        raise
                    continue
                yield samples
                return


async def _in_thread(pool: ThreadPoolExecutor, call: Any, *args: Any) -> Any:
    future = asyncio.get_running_loop().run_in_executor(pool, call, *args)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])  # a thread cannot be stopped: its worker is busy until then
        raise


class Audio:
    """An endpoint that takes sound, a raw ASGI application: who has sent all holds a place in the queue to the end."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read and check the form, take a place, answer; stop when the client leaves."""
        request = Request(scope, receive)
        try:
            with contextlib.suppress(ClientDisconnect):
                self.service.queue.check()  # why send a file to a full queue?
                query = self.query(await multipart.read(request))
                with self.service.queue.place():
                    await _until_gone(self.answer(query, scope, receive, send), receive)
        except asyncio.CancelledError:
            raise ApiError(503, "the server is stopping", code="stopping") from None
        finally:
            await request.close()

    def query(self, form: FormData) -> Any:
        """The checked form."""
        raise NotImplementedError

    async def answer(self, query: Any, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the whole answer."""
        raise NotImplementedError


class Speech(Audio):
    """Where somebody speaks, as Speaches tells it."""

    def query(self, form: FormData) -> Search:
        """The checked form."""
        search = forms.check_search(form)
        self.service.engine.abilities.check_search()
        return search

    async def answer(self, query: Search, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the list of places."""
        await JSONResponse(await self.service.speech(query))(scope, receive, send)


class Text(Audio):
    """What is said: one task of the model."""

    def __init__(self, service: Service, task: str) -> None:
        super().__init__(service)
        self.task = task

    def query(self, form: FormData) -> Query:
        """The checked form."""
        query = forms.check(form, self.task, self.service.settings.language or None)
        self.service.check_model(query.model)
        self.service.engine.abilities.check(query)
        return query

    async def answer(self, query: Query, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the whole answer, or an event for each step that brought text, as soon as it is done."""
        said, begun = "", False
        try:
            async for heard in self.service.results(query):
                if not query.stream:
                    continue
                if not begun:
                    await send({"type": "http.response.start", "status": 200, "headers": EVENTS})
                    begun = True
                said, before = formats.full_text(heard.segments), said
                if piece := said[len(before) :]:
                    await send({"type": "http.response.body", "body": formats.delta(piece), "more_body": True})
            last = formats.done(heard)
        except Exception:
            if not begun:
                raise
            log.exception("a stream failed")  # the status is sent: all that is left is an event
            metrics.errors.labels("stream_failed").inc()
            last = formats.event(ApiError(500, "the transcription failed").body)
        if begun:
            await send({"type": "http.response.body", "body": last})
        else:
            await formats.render(query, heard)(scope, receive, send)


async def _until_gone(answer: Coroutine[Any, Any, None], receive: Receive) -> None:
    """Run it to its end, or stop it when the client leaves."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        if not work.done():
            log.info("the client left: the work is given up")
            work.cancel()

    work, watching = asyncio.create_task(answer), asyncio.create_task(watch())
    try:
        await asyncio.wait((work,))
    finally:
        watching.cancel()
        work.cancel()
    if not work.cancelled():
        work.result()


def create_app(settings: Settings, engine: Engine) -> ASGIApp:
    """The whole application."""
    service = Service(settings, engine)
    document = docs.document(settings.engine, engine.abilities)
    model = {"id": engine.name, "object": "model", "created": int(time.time()), "owned_by": "anklume"}

    async def health(_: Request) -> Response:
        if not engine.healthy:
            raise ApiError(503, "the model cannot be loaded: the log says why", code="model_not_loaded")
        return JSONResponse({"status": "ok", "message": "OK"})  # Speaches has the message

    async def models(_: Request) -> Response:
        return JSONResponse({"object": "list", "data": [model]})

    async def one_model(request: Request) -> Response:
        service.check_model(request.path_params["id"])
        return JSONResponse(model)

    async def loaded(_: Request) -> Response:
        return JSONResponse({"models": [engine.name] if engine.loaded else []})

    async def numbers(_: Request) -> Response:
        return metrics.answer()

    async def describe(_: Request) -> Response:
        return JSONResponse(document)

    async def explain(_: Request) -> Response:
        return HTMLResponse(docs.page(document))

    async def refuse(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and not isinstance(error, ApiError):
            wrong_url, headers = f"Invalid URL ({request.method} {request.url.path})", error.headers
            error = ApiError(error.status_code, wrong_url if error.status_code in (404, 405) else error.detail)
            error.headers.update(headers or {})
        elif not isinstance(error, ApiError):
            error = ApiError(500, "the server failed")
        why = error if error.status >= 500 else error.body["error"]["param"] or ""  # texts stay out of the log
        path = request.scope["raw_path"].decode("latin-1")  # as it was sent: what moves the cursor stays a number
        log.info("%s %s: %s %s", request.method, path, error.status, why)
        return error.response()

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async def unload() -> None:
            while True:
                await asyncio.sleep(min(10, settings.model_ttl / 4))
                await asyncio.to_thread(engine.unload_if_idle)

        live_with_few_files(asyncio.get_running_loop())
        task = asyncio.create_task(unload()) if settings.model_ttl > 0 else None
        yield
        if task:
            task.cancel()
        for pool in (service.workers, service.decoders):
            pool.shutdown(wait=False, cancel_futures=True)

    middleware = [Middleware(Addresses), Middleware(Uploads, max_bytes=settings.max_upload_bytes)]
    if settings.cors_origins:
        cors: Any = {"allow_origins": settings.cors_origins, "allow_methods": ["*"], "allow_headers": ["*"]}
        middleware[:0] = [Middleware(OpenAiErrors), Middleware(CORSMiddleware, **cors)]
    if settings.api_key:
        middleware.append(Middleware(ApiKey, keys=(settings.api_key, *settings.api_keys)))
    routes = [
        Route("/health", health),
        Route("/docs", explain),
        Route("/openapi.json", describe),
        Route("/api/ps", loaded),
        Route(metrics.PATH, numbers),
        Route("/v1/models", models),
        Route("/v1/models/{id:path}", one_model),
        Route("/v1/audio/transcriptions", Text(service, "transcribe"), methods=["POST"]),
        Route("/v1/audio/speech/timestamps", Speech(service), methods=["POST"]),
        Route("/v1/audio/translations", Text(service, "translate"), methods=["POST"]),
    ]
    handlers: Any = {ApiError: refuse, HTTPException: refuse, Exception: refuse}
    metrics.now.loaded = lambda: int(engine.loaded)
    metrics.info.labels(settings.engine, engine.name, settings.device, settings.compute_type).set(1)
    app = Starlette(routes=routes, middleware=middleware, exception_handlers=handlers, lifespan=lifespan)
    return metrics.Measure(app)
