# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How modules are told of an installed Open WebUI, the same everywhere."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment: C(anklume.stt.open_webui)."""

    DOCUMENTATION = r"""
options:
  python:
    description: The interpreter of Open WebUI's virtual environment.
    type: path
    default: /opt/open-webui/current/bin/python
  environment_files:
    description: The service's environment files, read in this order.
    type: list
    elements: path
    default: [/etc/open-webui/open-webui.env, /etc/open-webui/secrets.env]
  user:
    description: The service's user, as whom the database is opened.
    type: str
    default: open-webui
"""
