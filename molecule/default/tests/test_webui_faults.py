# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot work is refused with its reason before anything changes, and no secret is ever in sight."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import ANNA, SCENARIO, Api, Run
from suite import ROOT

Role = Callable[..., Run]
LOCK = str(SCENARIO / "locks/0.11.4-slim.txt")


@contextmanager
def undone(webui: Any, do: str, undo: str) -> Iterator[None]:
    """Does something on the machine, and undoes it afterwards whatever happens."""
    webui.run_expect([0], do)
    try:
        yield
    finally:
        webui.run_expect([0], undo)


@pytest.mark.parametrize(("service", "port"), [("open-webui", 8080), ("caddy", 80)])
def test_a_taken_port_is_named_with_who_has_it(role: Role, webui: Any, service: str, port: int) -> None:
    squat = f"systemctl stop {service}; systemd-run --quiet --unit squatter python3 -m http.server {port}"
    wait = f"until ss -Hltn sport = :{port} | grep -q .; do sleep 0.1; done"
    with undone(webui, f"{squat}; {wait}", f"systemctl stop squatter; systemctl start {service}; {wait}"):
        result = role("-t", "open_webui_preflight")
    assert result.status != 0
    assert f"port {port} is taken on this instance by python3, pid" in result.said


def test_a_full_disk_is_named_before_anything_changes(role: Role, webui: Any) -> None:
    # a release that is not there yet, and a small file system where it would go
    with undone(webui, "mount -t tmpfs -o size=50m none /opt/open-webui", "umount /opt/open-webui"):
        result = role("-t", "open_webui_install", open_webui_lock=LOCK, open_webui_version="0.99.0")
    assert result.status != 0
    assert "MiB are free under /opt and Open WebUI (slim) needs 1000" in result.said


def test_without_https_there_is_a_warning(role: Role) -> None:
    result = role("-t", "open_webui_preflight", open_webui_https=False)
    assert result.status == 0, result.said
    assert "open_webui_https is false: browsers give the page no microphone" in result.said


def test_a_downgrade_is_refused(role: Role, webui: Any) -> None:
    result = role(open_webui_version="0.11.4", open_webui_lock=LOCK)
    assert result.status != 0
    assert "an older Open WebUI refuses the database of a newer one" in result.said
    assert webui.file("/opt/open-webui/current").linked_to == "/opt/open-webui/0.12.4-slim"


def test_a_version_without_a_lock_file_is_refused(role: Role) -> None:
    result = role(open_webui_version="0.99.0")
    assert result.status != 0
    assert "has no lock file" in result.said


def test_a_backup_brings_the_data_back(role: Role, api: Api, project: Path) -> None:
    api.chat("before")
    made = role(playbook="anklume.stt.backup")
    assert made.status == 0, made.said
    backups = sorted((project / "backups/mdef-webui").iterdir())
    assert oct(backups[-1].stat().st_mode & 0o777) in ("0o600", "0o644")
    assert oct(backups[-1].parent.stat().st_mode & 0o777) == "0o700"
    api.chat("after")
    assert api.titles() >= {"before", "after"}
    restored = role(playbook="anklume.stt.restore_backup", backup_file=str(backups[-1]))
    assert restored.status == 0, restored.said
    assert "before" in api.titles()
    assert "after" not in api.titles()

    damaged = project / "damaged.tar.gz"
    damaged.write_bytes(backups[-1].read_bytes()[:2000])
    refused = role(playbook="anklume.stt.restore_backup", backup_file=str(damaged))
    assert refused.status != 0
    assert "is not a whole backup" in refused.said
    assert "before" in api.titles()


def test_no_secret_is_in_sight(role: Role, webui: Any, machine: Callable[[str], Any], project: Path) -> None:
    names = ["mdef-webui-open-webui-admin-password", "mdef-webui-open-webui-secret-key", "mdef-ai-speaches-api-key"]
    names += [f"mdef-webui-open-webui-password-{ANNA}", "mdef-webui-open-webui-oidc-client-secret"]
    secrets = {name: (project / "secrets" / name).read_text() for name in names}
    for name in ("mdef-webui-open-webui-tls.pem", "ca/ca.key"):
        secrets[name] = (project / "secrets" / name).read_text().splitlines()[1]
    # everything is written anew, so that nothing is skipped
    webui.run_expect([0], "rm /etc/open-webui/secrets.env /etc/caddy/open-webui.pem /etc/open-webui/open-webui.env")
    applied = role("-vvv", "--diff", playbook="anklume.stt.apply")
    assert applied.status == 0, applied.said[-3000:]
    seen = {"the output of an apply": applied.said}
    for host in (webui, machine("mdef-ai")):
        seen[f"the processes of {host.backend.name}"] = host.run_expect(
            [0], "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"
        ).stdout
        seen[f"the journal of {host.backend.name}"] = host.run_expect([0], "journalctl --no-pager").stdout
    for place, text in seen.items():
        assert [name for name, secret in secrets.items() if secret in text] == [], place

    readable = "find /etc /opt /run /srv /tmp /usr/local /var -xdev -type f -perm -004 -size -4M -print0"
    patterns = "".join(f" -e {secret}" for secret in secrets.values())
    for host in (webui, machine("mdef-ai")):
        assert host.run(f"{readable} | xargs -0r grep -lF{patterns}").stdout == ""
    ours = {
        str(path): path.stat().st_mode & 0o077
        for path in (project / "secrets").rglob("*")
        if path.name not in ("ca.crt", ".lock")
    }
    assert set(ours.values()) == {0}, ours
    subprocess.run(["git", "check-ignore", "-q", "secrets/any"], cwd=ROOT, check=True)
