# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small OpenAI-compatible speech-to-text server around one faster-whisper model."""

import os

# onnxruntime, from 1.29 on, reports to its makers unless this is set before its import
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# NumPy only works out features, for which one thread is enough: those of OpenBLAS spin on every core after each use
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
