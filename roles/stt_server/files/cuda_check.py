# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says, before the service starts, whether CTranslate2 finds the GPU and its libraries."""

from __future__ import annotations

import ctypes
import sys

import ctranslate2

if not ctranslate2.get_cuda_device_count():
    sys.exit(
        "CTranslate2 sees no CUDA device: is the GPU in the instance's profile, with nvidia.runtime,"
        " and its driver 525 or newer?"
    )
try:
    ctypes.CDLL("libcublas.so.12")
except OSError as error:
    sys.exit(f"cuBLAS cannot be loaded: {error}; LD_LIBRARY_PATH in /etc/speaches/speaches.env names its folder")
