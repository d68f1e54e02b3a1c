# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What starts Speaches in place of speaches.main:create_app, and mends what its pinned version gets wrong.

Each patch is a function of its own, applied by create_app(), and belongs to the pinned commit: a test of the same name
shows that Speaches needs it. Settings come from the environment, as Speaches' own do.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
import time
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from itertools import chain
from pathlib import Path
from tempfile import SpooledTemporaryFile
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

import anklume_stt_server  # noqa: F401 isort: skip  it sets up onnxruntime and NumPy, and so comes before all of them
import anklume_page
import anklume_realtime
import anklume_speech
import speaches.main
import starlette.formparsers
import uvicorn
from anklume_speech import setting
from anklume_stt_server import context, docs, forms, keys, languages, metrics, models, multipart, turns
from anklume_stt_server.addresses import Addresses
from anklume_stt_server.audio import RATE, check_decoding, decode, from_raw
from anklume_stt_server.connections import BACKLOG, live_with_few_files
from anklume_stt_server.errors import ApiError, OpenAiErrors
from anklume_stt_server.guards import Queue, Uploads, no_storage
from anklume_stt_server.stepwise import Stepwise
from anklume_stt_server.times import within
from fastapi import Form, UploadFile, WebSocket, WebSocketException
from faster_whisper import BatchedInferencePipeline
from huggingface_hub import snapshot_download
from openai.types.audio import TranscriptionTextDoneEvent
from speaches.audio import Audio
from speaches.dependencies import audio_file_dependency, get_config, get_executor_registry, verify_api_key
from speaches.executors import whisper
from speaches.executors.whisper import WhisperModelManager
from speaches.model_aliases import resolve_model_id_alias
from speaches.routers import realtime_ws
from starlette.datastructures import FormData, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from fastapi import FastAPI
    from speaches.config import Config
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)
DETECT = forms.DETECT[0]
OWN = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"
TASKS = {"/v1/audio/transcriptions": "transcribe", "/v1/audio/translations": "translate"}


def workers() -> int:
    """How many transcriptions are worked on at the same time."""
    return int(os.environ.get("WHISPER__NUM_WORKERS", "1"))


def decoder(app: FastAPI) -> None:
    """Have uploads decoded by our decoder: in Speaches' own a file can end the service, or take its memory."""
    longest = float(setting("MAX_AUDIO_SECONDS", "inf"))

    def audio(file: Annotated[UploadFile, Form()]) -> Audio:
        raw = file.content_type in ("audio/pcm", "audio/raw")
        samples = (from_raw if raw else decode)(file.file, longest)
        return Audio(samples, sample_rate=RATE, name=Path(file.filename).stem if file.filename else None)

    check_decoding()
    app.dependency_overrides[audio_file_dependency] = audio


def default_language() -> None:
    """Let requests leave out the language, those of the realtime API too: Speaches has no default for it."""
    default = setting("LANGUAGE") or None
    handle = WhisperModelManager.handle_transcription_request

    def answer(self: WhisperModelManager, request: Any, **options: Any) -> Any:
        request.language = None if request.language == DETECT else request.language or default
        return handle(self, request, **options)

    WhisperModelManager.handle_transcription_request = answer


def batch_beam_and_times() -> None:
    """Give the model our batch, beam, context and turns, no language that it never learnt, and times in the sound."""
    sizes = {"batch_size": int(setting("BATCH_SIZE", "8")), "beam_size": int(setting("BEAM_SIZE", "5"))}
    mode = setting("AUDIO_CONTEXT", "auto")
    load = WhisperModelManager._load_fn
    turn = turns.Turns(workers()).turn

    def loaded(self: WhisperModelManager, name: str) -> Any:
        model = load(self, name)
        model.shorts = context.languages_for(Path(snapshot_download(name, local_files_only=True)), mode)
        return model

    class Pipeline(BatchedInferencePipeline):
        def transcribe(self, audio: Any, **options: Any) -> Any:
            if language := options.pop("language", None):
                languages.check_known(self.model, language)

            def hear(model: Any, language: str | None) -> Any:
                return Stepwise(model, seconds, turn).transcribe(audio, language=language, **(sizes | options))

            seconds = len(audio) / RATE
            segments, info = context.heard(self.model, language, seconds, self.model.shorts, hear)
            return (within(segment, info.duration) for segment in segments), info

    WhisperModelManager._load_fn = loaded
    whisper.BatchedInferencePipeline = Pipeline


def _of_silence(request: Any) -> Any:
    """The answer to sound in which nobody speaks."""
    language = getattr(request, "language", None) or setting("LANGUAGE") or "en"
    options = SimpleNamespace(word_timestamps="word" in getattr(request, "timestamp_granularities", []))
    info = SimpleNamespace(language=language, duration=request.audio.duration, transcription_options=options)
    if getattr(request, "stream", False):
        return iter([TranscriptionTextDoneEvent(text="", type="transcript.text.done")])
    if request.response_format == "vtt":
        return "WEBVTT\n\n", "text/vtt"
    transcribed = hasattr(request, "language")
    respond = whisper.segments_to_transcription_response if transcribed else whisper.segments_to_translation_response
    return respond([], info, response_format=request.response_format)


def silence() -> None:
    """Answer silence with an empty text, where Speaches invents one or fails."""

    def quiet(handle: Callable[..., Any]) -> Callable[..., Any]:
        def answer(self: WhisperModelManager, request: Any, **options: Any) -> Any:
            return handle(self, request, **options) if request.speech_segments else _of_silence(request)

        return answer

    for name in ("handle_transcription_request", "handle_translation_request"):
        setattr(WhisperModelManager, name, quiet(getattr(WhisperModelManager, name)))


def whole_stream() -> None:
    """Say the whole text in the last event of a stream, which Speaches leaves empty, and fail before the first one."""
    handle = WhisperModelManager.handle_transcription_request

    def answer(self: WhisperModelManager, request: Any, **options: Any) -> Any:
        events = handle(self, request, **options)
        return _whole(chain([next(events)], events)) if request.stream else events

    WhisperModelManager.handle_transcription_request = answer


def _whole(events: Iterator[Any]) -> Iterator[Any]:
    said = ""
    for event in events:
        said += getattr(event, "delta", "")
        last = event.type == "transcript.text.done"
        yield TranscriptionTextDoneEvent(text=said.strip(), type="transcript.text.done") if last else event


def damaged_models() -> None:
    """Say which file of a model is at fault, and count a model that failed to load as not loaded."""
    load = WhisperModelManager._load_fn

    def loaded(self: WhisperModelManager, name: str) -> Any:
        try:
            return load(self, name)
        except Exception as error:
            self.loaded_models.pop(name, None)
            raise models.not_loaded(Path(snapshot_download(name, local_files_only=True)), error) from error

    WhisperModelManager._load_fn = loaded


def counted_work() -> None:
    """Count sound and time for /metrics: Speaches sends its own with all its logs to a collector, or nowhere."""

    def counted(handle: Callable[..., Any]) -> Callable[..., Any]:
        def answer(self: WhisperModelManager, request: Any, **options: Any) -> Any:
            sound, began = request.audio.duration, time.monotonic()
            result = handle(self, request, **options)
            spent = time.monotonic() - began
            if getattr(request, "stream", False):
                return _counted(result, sound, spent)
            metrics.worked(sound, spent)
            return result

        return answer

    for name in ("handle_transcription_request", "handle_translation_request"):
        setattr(WhisperModelManager, name, counted(getattr(WhisperModelManager, name)))


def _counted(events: Iterator[Any], sound: float, spent: float) -> Iterator[Any]:
    """The events; the time counts in which they are made, not the one in which a client takes them."""
    while True:
        began = time.monotonic()
        event = next(events, None)
        spent += time.monotonic() - began
        if event is None:
            break
        yield event
    metrics.worked(sound, spent)


def loaded_models() -> int:
    """Those that hear and are in memory."""
    return sum(len(executor.model_manager.loaded_models) for executor in get_executor_registry().transcription)


def numbers(app: FastAPI, check: Callable[[Request], Awaitable[None]]) -> None:
    """What our own engine has at /metrics, behind the key as there, and before the web page, which takes all paths."""

    async def answer(request: Request) -> Response:
        await check(request)
        return metrics.answer()

    chosen = get_config().whisper
    model = resolve_model_id_alias("whisper-1")
    metrics.info.labels("speaches", model, chosen.inference_device, chosen.compute_type).set(1)
    metrics.now.loaded = loaded_models
    app.router.routes.insert(0, Route(metrics.PATH, answer))


def stop_timers() -> None:
    """Forget when models expire: a timer that still runs keeps a stopping service alive for the model's TTL."""
    for executor in get_executor_registry().all_executors():
        for model in list(executor.model_manager.loaded_models.values()):
            model.ttl = -1
            if model.expire_timer:
                model.expire_timer.cancel()


def load_resident(names: list[str]) -> None:
    """Load models and keep them: PRELOAD_MODELS of Speaches only downloads, and needs the hub at every start."""
    manager = get_executor_registry().transcription[0].model_manager
    speaking = anklume_speech.speaking() if anklume_speech.is_on() else {}
    for name in names:
        try:
            if name in speaking:
                anklume_speech.load(name, speaking[name].executor.model_manager)
            else:
                model = manager.load_model(resolve_model_id_alias(name))
                with model:
                    model.ttl = -1
            logger.info("model %s is loaded and stays", name)
        except ApiError as error:  # shown to whoever asks for it, too
            logger.error("model %s: %s", name, error)
        except Exception:
            logger.exception("model %s cannot be loaded", name)


def start_and_stop(app: FastAPI) -> None:
    """Load the resident models while the service already answers, and let nothing delay its end."""
    inner = app.router.lifespan_context
    resident = [name for name in setting("RESIDENT_MODELS").split(",") if name]

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        live_with_few_files(asyncio.get_running_loop())
        async with inner(app) as state:
            threading.Thread(target=load_resident, args=(resident,), name="resident models", daemon=True).start()
            yield state
        anklume_speech.speaker.shutdown(wait=False, cancel_futures=True)
        stop_timers()

    app.router.lifespan_context = lifespan


class UploadedFile(SpooledTemporaryFile):
    """An upload that finds no room on the disk is told so; Speaches calls it damaged."""

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.close()
            raise no_storage(error) from None

    def write(self, data: bytes) -> int:
        """Keep what came."""
        with self._told():
            return super().write(data)

    def seek(self, *place: int) -> int:
        """Write out what is left, and go there."""
        with self._told():
            return super().seek(*place)

    def close(self) -> None:
        """Close it, even where what is left finds no room."""
        with suppress(OSError):
            super().close()


def bounded_forms() -> None:
    """Bound what a form can ask for: Speaches takes a thousand fields and files of a megabyte each into memory."""
    starlette.formparsers.SpooledTemporaryFile = UploadedFile
    Request.form.__kwdefaults__ = {"max_files": 4, "max_fields": 50}


class Turns:
    """A place in the queue for each request with sound, once it is complete, and its turn: Speaches starts all at once.

    More transcriptions than there are workers are begun: those are decoded meanwhile, and no worker waits for one.
    """

    def __init__(self, app: ASGIApp, workers: int, length: int) -> None:
        self.app, self.queue = app, Queue(workers, length)
        metrics.now.queue = self.queue
        self.free = asyncio.Semaphore(2 * workers + 2)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold the last piece of the request back until its turn comes."""
        heard = scope["type"] == "http" and scope["method"] == "POST" and "/audio/" in scope["path"]
        if not heard or scope["path"].rstrip("/").endswith("/audio/speech"):  # speech has a queue of its own
            await self.app(scope, receive, send)
            return
        begun = complete = False
        of_session = anklume_realtime.is_of_session(scope)

        async def in_turn() -> Message:
            nonlocal begun, complete
            if not begun and not of_session:
                self.queue.check()  # why send a file to a full queue?
            message, begun = (await receive()), True
            if complete or message["type"] != "http.request" or message.get("more_body"):
                return message
            complete = True
            held.enter_context(self.queue.place(kept=of_session))
            if "/trans" not in scope["path"]:  # the rest has models of its own
                return message
            return message if await self._turn(held, receive) else {"type": "http.disconnect"}

        async with AsyncExitStack() as held:
            await self.app(scope, in_turn, send)

    async def _turn(self, held: AsyncExitStack, receive: Receive) -> bool:
        """Wait for it; no when the client leaves before."""
        turn, gone = asyncio.create_task(self.free.acquire()), asyncio.create_task(receive())
        try:
            await asyncio.wait((turn, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not turn.done():
                turn.cancel()
        if not turn.done():
            return False
        began = time.monotonic()
        held.callback(lambda: self.queue.took(time.monotonic() - began))
        held.callback(self.free.release)
        return True


def guards(app: FastAPI) -> None:
    """Bound what clients send and how many are served: Speaches bounds neither, and uvicorn counts idle connections."""
    app.add_middleware(Turns, workers=workers(), length=int(setting("QUEUE", "16")))
    app.add_middleware(Uploads, max_bytes=int(setting("MAX_UPLOAD_BYTES", str(2**63))))


class Forms:
    """Reads and checks the form of an audio request as our own engine does, and hands it on as Speaches wants it."""

    def __init__(self, app: ASGIApp, accepted: keys.Keys) -> None:
        self.app, self.accepted = app, accepted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The key comes first: FastAPI would read the whole upload before it looks at it."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in TASKS:
            await self.app(scope, receive, send)
            return
        if get_config().api_key:
            await self.accepted.check(scope, 403)
        request = Request(scope, receive)
        try:
            with suppress(ClientDisconnect):
                form = await multipart.read(request)
                query = forms.check(form, TASKS[scope["path"]], "", strict=False)
                scope["anklume.form"] = _as_speaches_wants(form, query)
                await self.app(scope, receive, send)
        finally:
            await request.close()


def _as_speaches_wants(form: FormData, query: forms.Query) -> FormData:
    """The checked fields under the names of Speaches, and the others as they came."""
    known = {
        "model": query.model or "whisper-1",
        "language": DETECT if query.language is None else query.language,
        "prompt": query.prompt,
        "hotwords": query.hotwords,
        "temperature": str(query.temperature),
        "response_format": query.format,
        "stream": str(query.stream).lower(),
    }
    fields = [(name, value) for name, value in known.items() if value]
    fields += [("timestamp_granularities[]", each) for each in query.granularities]
    taken = {*known, "timestamp_granularities"}
    others = [(name, value) for name, value in form.multi_items() if name.partition("[")[0] not in taken]
    return FormData([*fields, *others])


def forms_of_clients(app: FastAPI) -> None:
    """Understand what clients send, at whatever address and with whatever header, and answer errors as OpenAI does."""
    key = get_config().api_key
    accepted = keys.Keys([key.get_secret_value(), *setting("API_KEYS", "").split(",")] if key else [])
    read = Request._get_form

    async def form(self: Request, **limits: Any) -> FormData:
        return self.scope.get("anklume.form") or await read(self, **limits)

    async def check(request: Request) -> None:
        voices = request.method == "GET" and request.scope["path"] in anklume_speech.LISTS
        if key and not (voices and anklume_speech.is_on()):  # Open WebUI asks for these without one
            await accepted.check(request.scope, 403)

    async def check_socket(socket: WebSocket, config: Config) -> None:
        asked = socket.query_params.get("api_key", "").encode()
        headers = [(b"x-api-key", asked)] if asked else socket.scope["headers"]
        try:
            if config.api_key:
                await accepted.check({**socket.scope, "headers": headers}, 403)
        except ApiError as error:
            raise WebSocketException(1008, str(error)) from None

    async def refuse(request: Request, error: Exception) -> Response:
        told = error if isinstance(error, ApiError) else ApiError(500, "the server failed")
        if told.status >= 500:  # the line of uvicorn does not say why
            path = request.scope["raw_path"].decode("latin-1")  # as it was sent: no letter of it moves the cursor
            logger.warning("%s %s: %s %s", request.method, path, told.status, told)
        return told.response()

    Request._get_form = form
    app.dependency_overrides[verify_api_key] = check
    realtime_ws.verify_websocket_api_key = check_socket
    app.add_exception_handler(ApiError, refuse)
    app.add_exception_handler(Exception, refuse)
    anklume_speech.endpoint(app, check)
    numbers(app, check)
    # inside of CORS, so that a web page can read the errors
    app.user_middleware += [Middleware(OpenAiErrors), Middleware(Addresses), Middleware(Forms, accepted=accepted)]


class OwnPages:
    """Forbids browsers to load anything from elsewhere for our pages: the web page has fonts and a script there."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the header that says so to every page."""

        async def bounded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type", "").startswith("text/html"):
                    headers["Content-Security-Policy"] = OWN
            await send(message)

        await self.app(scope, receive, bounded)


def own_pages(app: FastAPI) -> None:
    """Have no page load anything from elsewhere: FastAPI's of the API consist of that, so ours is in their place."""

    async def page(_: Request) -> Response:
        return HTMLResponse(docs.page(app.openapi()))

    theirs = ("/docs", "/docs/oauth2-redirect", "/redoc")
    routes = [route for route in app.router.routes if getattr(route, "path", "") not in theirs]
    app.router.routes[:] = [Route("/docs", page), *routes]
    app.add_middleware(OwnPages)


def create_app() -> ASGIApp:
    """Speaches, mended."""
    batch_beam_and_times()
    silence()
    whole_stream()
    default_language()
    counted_work()
    damaged_models()
    bounded_forms()
    if os.environ.get("ENABLE_UI") == "true":
        anklume_page.mend()
    app = speaches.main.create_app()
    decoder(app)
    guards(app)
    anklume_realtime.mend(app)
    forms_of_clients(app)
    own_pages(app)
    start_and_stop(app)
    # faster-whisper collects garbage at every request, and would walk the heap of all imported libraries each time
    gc.collect()
    gc.freeze()
    return metrics.Measure(app)


def main() -> None:
    """Start uvicorn, which reads its UVICORN_ variables, with our kind of connection."""
    uvicorn.config.HTTP_PROTOCOLS["auto"] = "anklume_stt_server.connections:Connection"
    os.environ.setdefault("UVICORN_BACKLOG", str(BACKLOG))
    uvicorn.main(["--factory", "anklume_speaches:create_app"])


if __name__ == "__main__":
    main()
