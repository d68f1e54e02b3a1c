# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`config` and `devices` as Incus will take them: values that it refuses are faults, keys it may not know warnings.

The list of keys is that of one release, so a key that is missing there may be of a later one: plan asks the server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ansible_collections.anklume.stt.plugins.module_utils._infra import incus_keys, schema
from ansible_collections.anklume.stt.plugins.module_utils._infra.diagnostic import Diagnostic, nearest
from ansible_collections.anklume.stt.plugins.module_utils._infra.mended import size
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Model
from ansible_collections.anklume.stt.plugins.module_utils._infra.places import Path, Places

_ONCE = rf"(?:@[a-z]+|{schema.SCHEDULE[1:-1]})"
_FORMS = {
    "bool": (re.compile(r"true|false|yes|no|on|off|1|0", re.IGNORECASE), "true or false"),
    "int": (re.compile(r"-?[0-9]+"), "a whole number"),
    "memory": (re.compile(rf"{schema.PERCENT[1:-1]}|100%|{schema.SIZE[1:-1]}"), 'a size like "8GiB", or a percentage'),
    "cpu": (re.compile(r"[0-9]+(?:-[0-9]+)?(?:,[0-9]+(?:-[0-9]+)?)*"), 'a number, or a set like "0-3,6"'),
    "size": (re.compile(schema.SIZE[1:-1]), 'a size like "20GiB"'),
    "schedule": (
        re.compile(rf"{_ONCE}(, ?{_ONCE})*"),
        'five fields of a cron table like "0 2 * * *"',
    ),
}
_KINDS = {"limits.cpu": "cpu", "limits.memory": "memory", "snapshots.schedule": "schedule"}
"""Texts of `config` with a form of their own."""


OURS = "user.anklume."
SAID_BY = {
    "boot.autostart": "boot_autostart",
    "boot.autostart.priority": "boot_priority",
    "security.protection.delete": "ephemeral",
    "snapshots.expiry": "snapshots_expiry",
    "snapshots.schedule": "snapshots_schedule",
}
"""Keys of `config` that a key of the machine says too."""


def is_known(key: str) -> bool:
    """Whether the release of the list has a key of `config`."""
    return key in incus_keys.CONFIG or key.startswith(incus_keys.OPEN)


def incus_values(model: Model, places: Places) -> Iterator[Diagnostic]:
    """What Incus would refuse."""
    for domain in model.domains:
        here: Path = ("domains", domain.name)
        for profile in domain.profiles:
            yield from _config((*here, "profiles", profile.name, "config"), profile.config, places)
            yield from _devices((*here, "profiles", profile.name, "devices"), profile.devices, places)
        for machine in domain.machines:
            yield from _config((*here, "machines", machine.name, "config"), machine.config, places)
            yield from _said_twice((*here, "machines", machine.name), machine.config, places)
            yield from _devices((*here, "machines", machine.name, "devices"), machine.devices, places)


def _config(path: Path, config: Mapping[str, str], places: Places) -> Iterator[Diagnostic]:
    for key, value in config.items():
        if not places.has((*path, key)):
            continue  # of a machine that was added
        if key.startswith(OURS):
            message = f"keys {OURS}… say what belongs to this project, and are written by apply"
            yield places.told("error", (*path, key), message, "give it another name", on_key=True)
        elif not is_known(key):
            yield _unknown((*path, key), "config", nearest(key, incus_keys.CONFIG), places)
        else:
            yield from _value((*path, key), value, _KINDS.get(key) or incus_keys.CONFIG.get(key, ""), places)


def _said_twice(path: Path, config: Mapping[str, str], places: Places) -> Iterator[Diagnostic]:
    for key in SAID_BY.keys() & config.keys():
        own = (*path, SAID_BY[key])
        if places.has(own):
            message = f"is not used: config.{key} says it too, {places.at(own, (*path, 'config', key))}"
            yield places.told("warning", own, message, "remove one of the two", on_key=True)


def _devices(path: Path, devices: Mapping[str, Mapping[str, str]], places: Places) -> Iterator[Diagnostic]:
    for device, keys in devices.items():
        known = incus_keys.DEVICES.get(keys.get("type", ""))
        for key, value in keys.items() if known else ():
            if key == "type" or key.startswith(("initial.", "user.")):
                continue
            here = (*path, device, key)
            if known and key not in known:
                yield _unknown(here, keys["type"], nearest(key, known), places)
            elif known:
                yield from _value(here, value, "size" if key == "size" else known[key], places)


def key_words(kind: str, key: str) -> str:
    """A key of a device's type, or of `config`, in words."""
    return f"config key {key}" if kind == "config" else f"key {key} of a device of type {kind}"


def _unknown(path: Path, kind: str, near: str | None, places: Places) -> Diagnostic:
    key = str(path[-1])
    hints = [f"did you mean {near}?"] if near else []
    message = f"Incus {incus_keys.VERSION} has no {key_words(kind, key)}"
    return replace(places.told("warning", path, message, *hints, on_key=True), doubt=(kind, key))


def _value(path: Path, value: str, kind: str, places: Places) -> Iterator[Diagnostic]:
    form, says = _FORMS.get(kind, (None, ""))
    if not form or not value or form.fullmatch(value):
        return
    if kind in ("memory", "size") and value.isdigit():
        yield places.told("error", path, f'"{value}" without a unit is bytes: must be {says}', f'write "{value}GiB"')
        return
    near = size(value) if kind in ("memory", "size") else ""
    hints = [f'write "{near}"'] if near else []
    yield places.told("error", path, f'Incus refuses "{value}" here: must be {says}', *hints)
