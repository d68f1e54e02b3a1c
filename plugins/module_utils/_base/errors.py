# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one tree of errors of the collection.

Every function of module_utils that refuses something raises an :class:`Error`; only a
module's ``main()`` turns it into ``fail_json``, and a filter into Ansible's own error. A message
says what is wrong, where, and what to do, in lower case and without a final full stop.
"""

from __future__ import annotations


class Error(Exception):
    """Something that a user can act on; ``str(error)`` is the whole message."""


class InfraError(Error):
    """infra.yml cannot be used: unreadable, malformed or with faults in it."""


class IncusError(Error):
    """Incus cannot be reached, refuses, or an operation of its own failed."""


class FitError(Error):
    """A question about memory that has no answer: unknown model, type, GPU or number."""


class ServiceError(Error):
    """A service (STT server, Ollama, Open WebUI, a hub or image server) does not answer as it should."""


class WriteError(Error):
    """A file cannot be written, or holds something that must not be overwritten."""
