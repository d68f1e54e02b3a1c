# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in, not Speaches: the application."""

from __future__ import annotations

import logging
from typing import Any

import huggingface_hub
from fastapi import Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware

from speaches.dependencies import get_config, verify_api_key
from speaches.routers import models, realtime_rtc, realtime_ws, speech, stt


def create_app() -> FastAPI:
    """Health, models, transcriptions, translations, speech; the key where there is one."""
    config = get_config()
    logging.basicConfig(level=logging.INFO)  # as Speaches logs
    app = FastAPI(title="A stand-in, not Speaches")
    guarded = [Depends(verify_api_key)] if config.api_key else []
    for router in (stt.router, speech.router, models.router):
        app.include_router(router, dependencies=guarded)
    app.include_router(realtime_rtc.router)
    app.include_router(realtime_ws.router)
    app.add_middleware(CORSMiddleware, allow_origins=config.allow_origins, allow_methods=["*"], allow_headers=["*"])

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"message": "a stand-in, not Speaches"}

    @app.get("/v1/models", dependencies=guarded)
    def list_local_models() -> dict[str, Any]:
        names = [repo.repo_id for repo in huggingface_hub.scan_cache_dir().repos]
        return {"object": "list", "data": [{"id": name, "object": "model"} for name in names]}

    return app
