# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for Incus itself, its instances and their disks, seen from the Incus host."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.anklume.stt.plugins.module_utils._doctor.rules import (
    WARNING,
    Evidence,
    Rule,
    either,
    objects,
    prints,
)
from ansible_collections.anklume.stt.plugins.module_utils._doctor.snapshot import INCUS_HOST, Snapshot

FULL = 95
"""Percent of a disk from which it counts as full: what writes a database or a model needs the rest."""


SHARED = 512 * 2**20
"""Bytes that a quota of btrfs counts beside what Incus calls usage, generously: what is shared with the image."""


STARTED = 60
"""Seconds after which an instance that was started has its address, or gets none."""


def _stopped(snapshot: Snapshot) -> Iterator[Evidence]:
    command, instances = objects(snapshot, "instances")
    for one in instances:
        if one["status"] not in ("Running", "Missing"):
            yield Evidence(command, f"{one['instance']}: status {one['status']}", _names(one), one["host"])


def _missing(snapshot: Snapshot) -> Iterator[Evidence]:
    command, instances = objects(snapshot, "instances")
    for one in instances:
        if one["status"] == "Missing":
            yield Evidence(command, f"no instance {one['instance']} in project {one['project']}", {}, one["host"])


def _sources(snapshot: Snapshot) -> Iterator[Evidence]:
    command, instances = objects(snapshot, "instances")
    for one in instances:
        for device, source in one["sources_missing"].items():
            line = f"{one['instance']}: device {device}: source {source} is not on this host"
            yield Evidence(command, line, {"source": source, **_names(one)}, one["host"])


def _quota(snapshot: Snapshot) -> Iterator[Evidence]:
    command, instances = objects(snapshot, "instances")
    for one in instances:
        left = one["disk_total"] - one["disk_used"]
        if one["disk_total"] > 0 and left < max(one["disk_total"] * (100 - FULL) // 100, SHARED):
            line = f"{one['instance']}: disk.root: usage {one['disk_used']}, total {one['disk_total']}"
            double = f"{2 * one['disk_total'] // 2**30 or 1}GiB"
            yield Evidence(command, line, {"double": double, **_names(one)}, one["host"])


def _pool(snapshot: Snapshot) -> Iterator[Evidence]:
    command, pools = objects(snapshot, "pools")
    for one in pools:
        if one["total"] > 0 and one["used"] * 100 >= one["total"] * FULL:
            line = f"{one['name']}: space: used {one['used']}, total {one['total']}"
            yield Evidence(command, line, {"pool": one["name"]})


def _idmap(snapshot: Snapshot) -> Iterator[Evidence]:
    for name in ("subuid", "subgid"):
        said = snapshot.get(name)
        if (
            not said.skipped
            and not said.status
            and not any(line.startswith(("root:", "0:")) for line in said.text.splitlines())
        ):
            yield Evidence(said.command, said.text.partition("\n")[0] or "(it is empty)")


def _warnings(snapshot: Snapshot) -> Iterator[Evidence]:
    command, warnings = objects(snapshot, "warnings")
    for one in warnings:
        # what is low is said of every host that lacks a feature of the kernel
        if one["status"] == "new" and one["severity"] != "low":
            said = " ".join(part for part in (one["type"], one["last_message"], one["entity_url"]) if part)
            yield Evidence(command, said, {"uuid": one["uuid"]})


def _no_ipv4(snapshot: Snapshot) -> Iterator[Evidence]:
    command, instances = objects(snapshot, "instances")
    bridges = {one["name"] for one in objects(snapshot, "networks")[1] if one["address"]}
    for one in instances:
        waits = one["status"] == "Running" and one["runs_for"] > STARTED and not one["ipv4"]
        if waits and bridges.intersection(one["bridges"]):
            line = f"{one['instance']}: Running for {one['runs_for']} s, no IPv4 address"
            yield Evidence(command, line, _names(one), one["host"])


def _names(one: dict[str, str]) -> dict[str, str]:
    return {"instance": one["instance"], "project": one["project"]}


RULES = (
    Rule(
        code="INC-01",
        kind=INCUS_HOST,
        title="Incus is not running",
        cause="The daemon was stopped or does not come up, so that nothing of Incus can be asked. Instances run on.",
        fix=("systemctl start incus.socket incus", "journalctl -u incus -n 50"),
        look=prints(r"(?i)does not answer|daemon doesn't appear to be started|did not answer within|broke \(", "incus"),
        hides=("INC-*", "CFG-*", "HOP-*"),
    ),
    Rule(
        code="INC-02",
        kind=INCUS_HOST,
        title="you are not allowed to use Incus",
        cause="The socket of Incus belongs to the group incus-admin, and you are not in it, or have not logged in"
        " since.",
        fix=("sudo usermod -aG incus-admin $USER", "newgrp incus-admin"),
        look=prints(r"(?i)not allowed to use Incus|needed permissions to talk to the incus daemon", "incus"),
        hides=("INC-*", "CFG-*", "HOP-*"),
    ),
    Rule(
        code="INC-03",
        kind=INCUS_HOST,
        title="root has no range of user ids to give to containers",
        cause="Unprivileged containers get their user ids from the ranges that /etc/subuid and /etc/subgid give to"
        " root. Without a line for root, Incus says `System doesn't have a functional idmap setup`.",
        fix=(
            "echo root:1000000:1000000000 >> /etc/subuid",
            "echo root:1000000:1000000000 >> /etc/subgid",
            "systemctl restart incus",
        ),
        look=_idmap,
        hides=("INC-04", "INC-05", "INC-06", "INC-08", "HOP-*"),
    ),
    Rule(
        code="INC-04",
        kind=INCUS_HOST,
        title="the instance does not run",
        cause="infra.yml names it and it is there, but it was stopped or paused, or did not start with the host.",
        fix=("incus start {instance} --project {project}", "incus info {instance} --project {project} --show-log"),
        look=_stopped,
        hides=("CFG-02", "HOP-*", "INC-06"),
    ),
    Rule(
        code="INC-05",
        kind=INCUS_HOST,
        title="the instance is not there",
        cause="infra.yml names a machine that Incus does not have: it was not applied yet, or deleted by hand.",
        fix=("make apply",),
        look=_missing,
        hides=("CFG-02", "HOP-*"),
    ),
    Rule(
        code="INC-06",
        kind=INCUS_HOST,
        severity=WARNING,
        title="Incus itself warns",
        cause="Incus keeps a list of what it could not do. Those of low severity tell what the kernel lacks; this one"
        " is of a higher one, and nobody has acknowledged it.",
        fix=("incus warning show {uuid}", "incus warning acknowledge {uuid}"),
        look=_warnings,
    ),
    Rule(
        code="INC-07",
        kind=INCUS_HOST,
        title="a bridge cannot serve DNS and DHCP, as its address is in use",
        cause="Another dnsmasq, systemd-resolved, or a service on all addresses listens on port 53 already, or another"
        " network has the same subnet.",
        fix=("ss -Hlnup 'sport = :53'", "systemctl disable --now dnsmasq", "systemctl restart incus"),
        look=either(
            prints(r"port 53: open, and Incus's dnsmasq", "dns"),
            prints(
                r"(?i)DNS and DHCP service exited prematurely.*|dnsmasq.*address already in use"
                r"|failed to create listening socket.*address already in use",
                "daemon",
                "log *",
                "plan refused",
            ),
        ),
        hides=("NET-06", "INC-04", "INC-06", "INC-08", "CFG-*", "HOP-*"),
    ),
    Rule(
        code="INC-08",
        kind=INCUS_HOST,
        title="the instance runs and has no IPv4 address",
        cause="It asks for none, as its own network service was stopped or has failed, or nobody answers it. Others do"
        " not find it, and it reaches nobody.",
        fix=("incus restart {instance} --project {project}",),
        look=_no_ipv4,
        hides=("HOP-*", "STT-04", "MON-01"),
    ),
    Rule(
        code="DSK-01",
        kind=INCUS_HOST,
        title="the instance's disk is full up to its quota",
        cause="Writes fail with `Disk quota exceeded`. On btrfs df inside shows what is free in the whole pool, and the"
        " quota counts what is shared with the image, too. Once it is used up Incus cannot raise it: make room"
        " first.",
        fix=(
            "@ apt-get clean",
            "@ journalctl --vacuum-size=50M",
            "incus config device override {instance} root size={double} --project {project}",
        ),
        look=_quota,
        hides=("DSK-03", "DSK-05", "SVC-02", "HOP-*"),
    ),
    Rule(
        code="DSK-02",
        kind=INCUS_HOST,
        title="a storage pool is full",
        cause="All instances of the pool share its room. A full pool makes writes fail everywhere, and btrfs may turn"
        " read-only.",
        fix=("incus storage info {pool}", "incus storage set {pool} size=60GiB"),
        look=_pool,
        hides=("DSK-01", "DSK-03", "DSK-05", "SVC-02", "HOP-*"),
    ),
    Rule(
        code="DSK-04",
        kind=INCUS_HOST,
        title="a folder of the host that the instance mounts is gone",
        cause="A disk device names a folder of this host. Without it no start: `Missing source path`.",
        fix=("mkdir -p {source}", "incus start {instance} --project {project}"),
        look=_sources,
        hides=("INC-04", "INC-06", "CFG-*", "HOP-*"),
    ),
)
