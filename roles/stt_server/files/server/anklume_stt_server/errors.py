# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors that a client or an operator can see; whoever raises one, clients get OpenAI's body."""

from __future__ import annotations

import json
import logging
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)
PLAIN = {404: "nothing is at this address", 405: "this address does not take that method", 500: "the server failed"}
OF_THE_BODY = {b"content-type", b"content-length"}


class SettingsError(Exception):
    """A setting that the server cannot start with."""


class ApiError(HTTPException):
    """An answer in the form that OpenAI's clients expect; FastAPI lets only an HTTPException pass unchanged."""

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None) -> None:
        kind = "server_error" if status >= 500 else "invalid_request_error"
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
        self.headers: dict[str, str] = {"WWW-Authenticate": "Bearer"} if code == "invalid_api_key" else {}
        super().__init__(status, message, self.headers)

    def __str__(self) -> str:
        return self.detail

    def response(self) -> JSONResponse:
        """The answer itself."""
        return JSONResponse(self.body, self.status, self.headers)


def read(status: int, body: bytes) -> dict[str, Any]:
    """The error that an answer of FastAPI, of Starlette or of a library tells of, as OpenAI's body."""
    try:
        told = json.loads(body)
    except ValueError:
        told = body.decode(errors="replace").strip()
    if isinstance(told, dict):
        if isinstance(told.get("error"), dict):
            return told
        told = told.get("detail") or told.get("message") or told.get("error")
    param = None
    if isinstance(told, list):  # what FastAPI found wrong, each with the place where it is
        faults = [(str((fault.get("loc") or [""])[-1]), fault.get("msg")) for fault in told if isinstance(fault, dict)]
        param = faults[0][0] if faults else None
        told = "; ".join(f"{place}: {why}" for place, why in faults)
    if not told or told in ("Not Found", "Method Not Allowed", "Internal Server Error"):
        told = PLAIN.get(status, f"HTTP {status}")
    if status == 404 and str(told).startswith("Model "):
        return ApiError(status, str(told), "model", "model_not_found").body
    return ApiError(status, str(told), param).body


class OpenAiErrors:
    """Gives OpenAI's body to every error that the application inside answers with or raises."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold an error back until its body is there."""
        begun, error, body = False, None, b""

        async def translated(message: Message) -> None:
            nonlocal begun, error, body
            if message["type"] == "http.response.start" and message["status"] >= 400:
                error = message
            elif error:
                body += message.get("body", b"")
                if not message.get("more_body"):
                    answer = JSONResponse(read(error["status"], body), error["status"])
                    answer.raw_headers += [each for each in error["headers"] if each[0].lower() not in OF_THE_BODY]
                    await answer(scope, receive, send)
            else:
                begun = True
                await send(message)

        try:
            await self.app(scope, receive, translated)
        except HTTPException as raised:  # outside of what would have answered it
            if begun or scope["type"] != "http":
                raise
            told = (
                raised.body if isinstance(raised, ApiError) else read(raised.status_code, str(raised.detail).encode())
            )
            await JSONResponse(told, raised.status_code, raised.headers)(scope, receive, send)
