# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an instance has received, from files as the kernel has them; Incus' answer is made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError
from ansible_collections.anklume.stt.plugins.plugin_utils._traffic import Traffic


def instance(name: str, *interfaces: str, ours: bool = True) -> dict[str, Any]:
    config = {f"volatile.eth{number}.host_name": one for number, one in enumerate(interfaces)}
    return {
        "name": name,
        "config": config | {"volatile.eth0.hwaddr": "x"} | ({"user.anklume.project": "p"} if ours else {}),
    }


def count(root: Path, interface: str, received: int) -> None:
    folder = root / interface / "statistics"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tx_bytes").write_text(f"{received}\n")


def test_every_interface_counts_and_incus_is_asked_once(tmp_path: Path) -> None:
    asked: list[str] = []
    count(tmp_path, "veth1", 5)
    count(tmp_path, "veth2", 7)
    found = [instance("a", "veth1", "veth2"), instance("b", "veth1", ours=False), instance("c"), instance("d", "veth9")]
    traffic = Traffic(lambda what: asked.append(what) or found, tmp_path)
    assert [traffic.received(name) for name in ("a", "b", "c", "d", "localhost")] == [12, None, None, None, None]
    count(tmp_path, "veth1", 50)
    assert traffic.received("a") == 57
    assert asked == ["instances"]


def test_a_name_of_two_instances_is_nobodys(tmp_path: Path) -> None:
    count(tmp_path, "veth1", 5)
    assert Traffic(lambda _what: [instance("a", "veth1"), instance("a", ours=False)], tmp_path).received("a") is None


def test_where_there_is_no_incus_nothing_is_known_and_nothing_is_asked_again(tmp_path: Path) -> None:
    asked: list[str] = []

    def nobody(what: str) -> Any:
        asked.append(what)
        raise IncusError("Incus does not answer")

    traffic = Traffic(nobody, tmp_path)
    assert [traffic.received("a"), traffic.received("a")] == [None, None]
    assert [traffic.image(), traffic.image()] == ["", ""]
    assert asked == ["instances", "operations"]


def test_how_far_an_image_is() -> None:
    quiet = {"metadata": None}
    told = {"metadata": {"download_progress": "rootfs: 45% (3.20MB/s)", "progress": {"percent": "45"}}}
    assert Traffic(lambda _what: {"running": [quiet, told]}).image() == "rootfs: 45% (3.20MB/s)"
    assert Traffic(lambda _what: {}).image() == ""
