# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes plugins/module_utils/_infra/incus_keys.py: which keys the Incus of this machine knows, as it says itself.

It describes some types of devices only; the others come from the tables in doc/reference of its source.

usage: incus_keys.py DOC/REFERENCE [SOCKET]     (default: /var/lib/incus/unix.socket)
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "plugins" / "module_utils" / "_infra" / "incus_keys.py"

HEAD = '''\
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of instances and devices that Incus knows, and their types. Written by scripts/incus_keys.py."""

from __future__ import annotations

'''


def asked(path: str, where: str) -> Any:
    """The answer of Incus."""
    connection = http.client.HTTPConnection("incus")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(where)
    connection.request("GET", path)
    return json.loads(connection.getresponse().read())["metadata"]


def keys_of(groups: Any) -> dict[str, str]:
    """Each key with its type."""
    return {
        name: entry["type"].replace("integer", "int")
        for group in groups.values()
        for one in group["keys"]
        for name, entry in one.items()
    }


def tables(folder: Path) -> dict[str, dict[str, str]]:
    """The keys of each type of device by its page; a number there may be a word too, so that it counts as text."""
    found: dict[str, dict[str, str]] = {}
    for page in sorted(folder.glob("devices_*.md")):
        text = page.read_text(encoding="utf-8")
        keys = dict(re.findall(r"^`([a-z0-9_.]+)` *\| *(\w+)", text, re.MULTILINE))
        keys |= dict.fromkeys(re.findall(r"^##+ `(\w+)`: `", text, re.MULTILINE), "string")
        if keys:
            kind = page.stem.removeprefix("devices_").replace("_", "-")
            found[kind] = {name: "bool" if form == "bool" else "string" for name, form in keys.items()}
    return found


def main(folder: Path, where: str) -> None:
    """Ask and write."""
    version = asked("/1.0", where)["environment"]["server_version"]
    known = asked("/1.0/metadata/configuration", where)["configs"]
    config = {**keys_of(known["instance"]), **keys_of(known["kernel"])}
    prefixes = sorted({name.partition("*")[0].partition("<")[0] for name in config if "*" in name or "<" in name})
    lines = [f'VERSION = "{version}"', "", "CONFIG = {"]
    closed = sorted(name for name in config if not name.startswith(tuple(prefixes)))
    lines += [f'    "{name}": "{config[name]}",' for name in closed]
    lines += ["}", '"""Keys of `config`."""', "", "OPEN = ("]
    lines += [f'    "{prefix}",' for prefix in (*prefixes, "image.")]
    lines += [")", '"""What keys begin with whose rest is free."""', "", "DEVICES = {"]
    devices = tables(folder)
    for device, group in known["devices"].items():
        for kind in ("unix-char", "unix-block") if device == "unix-char-block" else (device,):
            devices[kind] = keys_of({"": group})
    for kind, entries in sorted(devices.items()):
        lines.append(f'    "{kind}": {{')
        lines += [f'        "{name}": "{form}",' for name, form in sorted(entries.items())]
        lines.append("    },")
    lines += ["}", '"""Keys of devices beside `type`."""']
    TARGET.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "/var/lib/incus/unix.socket")
