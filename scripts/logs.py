# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show the logs of all services in one stream, with machine and unit.

usage: logs.py INVENTORY [SINCE] [--follow]    SINCE is like -10min, or a time as journalctl takes it
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".cache" / "collections"))

from ansible_collections.anklume.stt.plugins.module_utils._doctor.gather import on_incus  # noqa: E402
from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import (  # noqa: E402
    BY_ROLE,
    command_on,
    units_of_roles,
)


def commands(inventory: Mapping[str, Any], since: str, *, follow: bool) -> dict[str, str]:
    """For each machine with services the command that prints its log, from what `ansible-inventory --list` prints."""
    found: dict[str, str] = {}
    variables = inventory.get("_meta", {}).get("hostvars", {})
    for name, machine in variables.items():
        roles = [role for role in BY_ROLE if name in inventory.get(f"role_{role}", {}).get("hosts", [])]
        units = units_of_roles(roles) + (["caddy"] if "open_webui" in roles else [])
        if units:
            wanted = " ".join(f"-u {unit}" for unit in units)
            fields = "--output-fields=MESSAGE,_SYSTEMD_UNIT,UNIT"
            line = f"journalctl -q --no-pager -o json {fields} --since={shlex.quote(since)} {wanted}"
            # Incus may lose what a very short command prints, hence the pause
            line += " -f" if follow else "; sleep 0.1"
            found[name] = command_on({"inventory_hostname": name, **machine}, _word(line, machine))
    return found


def _word(line: str, machine: Mapping[str, Any]) -> str:
    """A line for a shell of the machine; SSH has one there already."""
    return f"sh -c {shlex.quote(line)}" if on_incus(machine) else shlex.quote(line)


def entry(machine: str, line: str) -> tuple[int, str] | None:
    """When something was logged, in microseconds, and how it is shown; None for what is no entry."""
    try:
        told = json.loads(line)
        when = int(told["__REALTIME_TIMESTAMP"])
        message = told["MESSAGE"]
    except (ValueError, KeyError, TypeError):
        return None
    if isinstance(message, list):  # so does journalctl tell what is no text
        message = bytes(message).decode(errors="replace")
    unit = str(told.get("UNIT") or told.get("_SYSTEMD_UNIT") or "systemd").removesuffix(".service")
    clock = datetime.fromtimestamp(when / 1e6).strftime("%m-%d %H:%M:%S")
    return when, f"{clock} {machine} {unit}: {str(message or '').rstrip()}"


def entries(machine: str, lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The entries among the lines that a machine prints."""
    return (one for line in lines if (one := entry(machine, line)))


def stream(machine: str, process: subprocess.Popen[str], say: threading.Lock) -> None:
    """Show the entries of a machine as they come."""
    assert process.stdout
    for _when, text in entries(machine, process.stdout):
        with say:
            print(text, flush=True)


def main(inventory: str, since: str = "-10min", *, follow: bool = False) -> int:
    """Ask all machines at the same time; without --follow what they say is sorted."""
    listed = subprocess.run(
        ["ansible-inventory", "-i", inventory, "--list"], stdout=subprocess.PIPE, text=True, check=True
    )
    wanted = commands(json.loads(listed.stdout), since, follow=follow)
    if not wanted:
        print("no machine of the inventory has a service; make sync writes it from infra.yml", file=sys.stderr)
        return 1
    running = {
        name: subprocess.Popen(shlex.split(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        for name, command in wanted.items()
    }
    try:
        if follow:
            say = threading.Lock()
            threads = [threading.Thread(target=stream, args=(*one, say), daemon=True) for one in running.items()]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        else:
            told = [one for name, process in running.items() for one in entries(name, process.stdout or ())]
            for _when, text in sorted(told):
                print(text)
    except KeyboardInterrupt:
        return 130
    finally:
        for process in running.values():
            if follow:
                process.terminate()
            process.wait()
    return max(process.returncode for process in running.values())


if __name__ == "__main__":
    given = [word for word in sys.argv[1:] if word != "--follow"]
    sys.exit(main(*given[:2], follow="--follow" in sys.argv))
