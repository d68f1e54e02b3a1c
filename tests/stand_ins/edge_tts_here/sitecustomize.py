# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leads the library edge-tts to the stand-in at EDGE_STAND_IN, without TLS, where PYTHONPATH names this folder."""

from __future__ import annotations

import os

if place := os.environ.get("EDGE_STAND_IN"):
    from edge_tts import communicate, voices

    host = "speech.platform.bing.com"
    communicate.WSS_URL = communicate.WSS_URL.replace(f"wss://{host}", f"ws://{place}")
    voices.VOICE_LIST = voices.VOICE_LIST.replace(f"https://{host}", f"http://{place}")
    assert host not in communicate.WSS_URL + voices.VOICE_LIST
