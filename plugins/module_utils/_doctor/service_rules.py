# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for services and what they are made of: units, models, keys, certificates; the hops of verify come last."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.anklume.stt.plugins.module_utils._doctor import docker_rules
from ansible_collections.anklume.stt.plugins.module_utils._doctor.gather import on_incus
from ansible_collections.anklume.stt.plugins.module_utils._doctor.rules import (
    WARNING,
    Evidence,
    Rule,
    either,
    objects,
    prints,
    values,
)
from ansible_collections.anklume.stt.plugins.module_utils._doctor.snapshot import INCUS_HOST, Snapshot

JOURNALS = ("journal *", "hops", "refused *")
LOOP = 3
"""Restarts by systemd from which it is a loop; one or two may be a service that was waited for."""
SETTLED = 600
"""Seconds after which a service that runs is out of its loop, even where a hop is broken."""
SOON = 30
"""Days before a certificate's end at which somebody should know."""


def _units(snapshot: Snapshot) -> Iterator[tuple[str, dict[str, str]]]:
    said = snapshot.get("units")
    for unit in values(said):
        if "Id" in unit:
            yield said.command, unit


def _evidence(command: str, unit: dict[str, str], *properties: str) -> Evidence:
    line = ", ".join(f"{name}={unit[name]}" for name in ("Id", *properties) if name in unit)
    return Evidence(command, line, {"unit": unit["Id"].removesuffix(".service")})


def _stopped(snapshot: Snapshot) -> Iterator[Evidence]:
    """One that is disabled too may be turned off by its variable: then no hop misses it."""
    missed = re.findall(r"(?m)^FAILED\s+unit (\S+):", snapshot.get("hops").text)
    for command, unit in _units(snapshot):
        wanted = unit["UnitFileState"] == "enabled" or unit["Id"].removesuffix(".service") in missed
        stopped = unit["ActiveState"] == "inactive" and unit["Result"] == "success"
        if stopped and wanted and unit["LoadState"] == "loaded":
            yield _evidence(command, unit, "ActiveState", "UnitFileState")


def _masked(snapshot: Snapshot) -> Iterator[Evidence]:
    for command, unit in _units(snapshot):
        if unit["LoadState"] == "masked":
            yield _evidence(command, unit, "LoadState", "ActiveState")


def _denied(snapshot: Snapshot) -> Iterator[Evidence]:
    """Of services that do not run: others may be refused what they do not need."""
    for _command, unit in _units(snapshot):
        if unit["ActiveState"] != "active":
            name = unit["Id"].removesuffix(".service")
            yield from prints(r"(?i)permission denied|Errno 13\b", f"journal {name}")(snapshot)


def _loops(snapshot: Snapshot) -> Iterator[Evidence]:
    """A service that was mended has its restarts behind it, and all hops of its machine are whole again."""
    hops = snapshot.get("hops").text
    whole = bool(hops) and not re.search(r"(?m)^FAILED", hops)
    for command, unit in _units(snapshot):
        restarts = int(unit.get("NRestarts") or 0)
        running = unit["ActiveState"] == "active"
        young = float(unit.get("RunsFor") or 0) < SETTLED and not whole
        again = unit.get("SubState") == "auto-restart" and restarts > 0
        if unit["ActiveState"] == "failed" or again or (restarts >= LOOP and (young or not running)):
            yield _evidence(command, unit, "ActiveState", "SubState", "Result", "NRestarts", "ExecMainStatus")


def _not_there(snapshot: Snapshot) -> Iterator[Evidence]:
    for command, unit in _units(snapshot):
        if unit["LoadState"] == "not-found":
            yield _evidence(command, unit, "LoadState")


def _sandbox(snapshot: Snapshot) -> Iterator[Evidence]:
    for command, unit in _units(snapshot):
        if unit.get("ExecMainStatus") in ("226", "243"):
            yield _evidence(command, unit, "Result", "ExecMainStatus")


def _killed(snapshot: Snapshot) -> Iterator[Evidence]:
    """On the host: with cgroup v1 neither systemd in the instance nor Incus's counter knows of it.

    Where the instance has more memory now than it had then, it was mended.
    """
    said = snapshot.get("kernel")
    for one in objects(snapshot, "instances")[1]:
        names = {f"{one['project']}_{one['instance']}"} | ({one["instance"]} if one["project"] == "default" else set())
        group = "|".join(re.escape(name) for name in sorted(names))
        sign = re.compile(
            rf"oom-kill:.*/lxc\.payload\.(?:{group})/(?:.*/)?(?P<unit>[\w@-]+)\.service|oom-kill:.*/lxc\.payload\.(?:{group})\b"
        )
        limit = 0
        for line in said.text.splitlines():
            if told := re.search(r"memory: usage \d+kB, limit (\d+)kB", line):
                limit = int(told[1]) * 1024
            if (found := sign.search(line)) and not 0 < limit < one["memory_limit"]:
                names_of_fix = {
                    "instance": one["instance"],
                    "project": one["project"],
                    "unit": found["unit"] or "speaches",
                }
                yield Evidence(said.command, line.strip(), names_of_fix, one["host"])
                break


def _killed_inside(snapshot: Snapshot) -> Iterator[Evidence]:
    for command, unit in _units(snapshot):
        if unit["Result"] == "oom-kill" and unit["ActiveState"] != "active":
            yield _evidence(command, unit, "Result", "NRestarts")
    yield from prints(r"killed by the OOM killer|status=9/KILL.*oom-kill", "journal *")(snapshot)


def _not_at_boot(snapshot: Snapshot) -> Iterator[Evidence]:
    for command, unit in _units(snapshot):
        if unit["ActiveState"] == "active" and unit["UnitFileState"] == "disabled":
            yield _evidence(command, unit, "ActiveState", "UnitFileState")


def _no_https(snapshot: Snapshot) -> Iterator[Evidence]:
    said = snapshot.get("hops")
    if "open_webui" in snapshot.roles and said.text and not re.search(r"(?m)^\S+\s+HTTPS\b", said.text):
        yield Evidence(said.command, "no hop HTTPS: open_webui_https is false")


def _ends_soon(snapshot: Snapshot) -> Iterator[Evidence]:
    for _name, said in snapshot.named("https"):
        if (found := re.search(r"valid for another (\d+) days", said.text)) and int(found[1]) < SOON:
            # an authority of ours makes certificates for days, and new ones long before their end
            yield Evidence(said.command, said.text.strip())


def _doubled(snapshot: Snapshot) -> Iterator[Evidence]:
    address = str(snapshot.machine.get("open_webui_stt_url") or "")
    if (
        "open_webui" in snapshot.roles
        and address
        and not re.fullmatch(r"https?://[^/]+(?:/(?!v1/v1)\S*)?/v1/?", address)
    ):
        yield Evidence("host_vars", f"open_webui_stt_url: {address}")
    elif "open_webui" in snapshot.roles:
        yield from prints(r"/v1/v1/", "hops", "journal open-webui")(snapshot)


def _no_project(snapshot: Snapshot) -> Iterator[Evidence]:
    machine = snapshot.machine
    if on_incus(machine) and not machine.get("ansible_incus_project"):
        yield Evidence("inventory", f"{snapshot.host}: ansible_connection incus, and no ansible_incus_project")


LONG = re.compile(r"FAILED\s+recording of (?P<minutes>\d+) minutes: ")


def _broken_hop(snapshot: Snapshot) -> Iterator[Evidence]:
    said = snapshot.get("hops")
    for line in said.text.splitlines():
        if line.startswith("FAILED") and not LONG.match(line):
            way, _sign, next_step = line.partition(" next: ")
            yield Evidence(said.command, way, {"next": next_step})


def _nothing(_snapshot: Snapshot) -> Iterator[Evidence]:
    yield from ()


ROOT_CAUSES = ("SVC-01", "SVC-02", "HOP-*", "CFG-01", "CFG-05")
"""What follows from a model that cannot be had."""

RULES = (
    Rule(
        code="SVC-01",
        title="a service is stopped",
        cause="It starts with the machine, and somebody has stopped it since.",
        fix=("@ systemctl enable --now {unit}",),
        look=either(_stopped, docker_rules.stopped),
    ),
    Rule(
        code="SVC-02",
        title="a service ends again and again",
        cause="It ends soon after each start, and systemd starts it anew until it gives up. The last lines of its log"
        " say why.",
        fix=("@ journalctl -u {unit} -n 50", "make apply"),
        look=either(_loops, docker_rules.loops),
    ),
    Rule(
        code="SVC-03",
        kind=INCUS_HOST,
        title="the kernel has killed a service, as the instance's memory was full",
        cause="The limit limits.memory of the instance is less than model and recordings need. Only the host's kernel"
        " log tells it reliably.",
        fix=("incus config set {instance} limits.memory=8GiB --project {project}", "make fit"),
        look=_killed,
        hides=("SVC-02", "SVC-04", "CFG-05", "HOP-*"),
    ),
    Rule(
        code="SVC-04",
        title="a service was killed, as memory was full",
        cause="Its own limit MemoryMax, or the memory of the machine, is less than model and recordings need.",
        fix=("@ systemctl show {unit} -p MemoryMax -p MemoryPeak", "make fit"),
        look=either(_killed_inside, docker_rules.killed),
        hides=("SVC-02", "HOP-*"),
    ),
    Rule(
        code="SVC-05",
        title="another program has the port of a service",
        cause="Two programs cannot listen on one port: the service ends with `Address already in use`.",
        fix=("@ systemctl status {pid}", "make apply"),
        look=prints(
            r"port \d+ is taken (?:on this instance )?by [^,:]+(?:, pid (?P<pid>\d+))?"
            r"|(?i:address already in use)|Errno 98\b",
            "refused *",
            "journal *",
            "container",
        ),
        hides=("SVC-01", "SVC-02", "HOP-*", "CFG-05"),
    ),
    Rule(
        code="SVC-06",
        title="a service of infra.yml is not installed",
        cause="The machine has the role, and its unit is not there: apply has not come so far.",
        fix=("make apply",),
        look=either(_not_there, docker_rules.not_written),
        hides=("HOP-*", "CFG-01", "CFG-05", "TLS-*"),
    ),
    Rule(
        code="SVC-07",
        title="the kernel refuses a service its sandbox",
        cause="systemd could not set up the unit's room (226) or its credentials (243): AppArmor on the host denies it,"
        " as it does to Debian 13 guests under some versions of Incus. `DENIED` in the host's kernel log says"
        " what.",
        fix=(
            "dmesg | grep -i 'apparmor.*DENIED'",
            "incus config set {instance} security.nesting=true --project {project}",
        ),
        look=_sandbox,
        hides=("SVC-01", "SVC-02", "HOP-*"),
    ),
    Rule(
        code="SVC-08",
        title="the kernel has no more watches or open files",
        cause="The host's limits for all containers together are used up.",
        fix=("sysctl -w fs.inotify.max_user_instances=1024", "sysctl -w fs.inotify.max_user_watches=1048576"),
        look=prints(r"(?i)too many open files|inotify.*(?:limit reached|no space left)", "journal *"),
        hides=("SVC-02", "HOP-*"),
    ),
    Rule(
        code="SVC-09",
        severity=WARNING,
        title="a service runs and will not after a restart of the machine",
        cause="It was started by hand, or `systemctl disable` was said after it was started.",
        fix=("@ systemctl enable {unit}",),
        look=_not_at_boot,
    ),
    Rule(
        code="SVC-10",
        title="a service is masked",
        cause="Somebody has said `systemctl mask`: nothing starts it, a restart of the machine included.",
        fix=("@ systemctl unmask {unit}", "@ systemctl enable --now {unit}"),
        look=_masked,
        hides=("SVC-01", "SVC-02", "HOP-*", "CFG-05"),
    ),
    Rule(
        code="SVC-11",
        title="a service may not read or write what is its own",
        cause="The owner or the mode of its files was changed, as by a copy or a restore as root. It ends at once.",
        fix=("make apply", "@ journalctl -u {unit} -n 50"),
        look=_denied,
        hides=("SVC-02", "HOP-*", "CFG-01", "CFG-05", "CFG-06"),
    ),
    Rule(
        code="DSK-03",
        title="a write has failed, as the disk is full",
        cause="The quota of the instance's disk, or the pool that it lies in, is full.",
        fix=("@ du -xh --max-depth=2 /var /opt", "incus storage list"),
        look=prints(r"(?i)disk quota exceeded|no space left on device|no usable temporary directory", *JOURNALS),
        hides=("SVC-02", "HOP-*", "CFG-05"),
    ),
    Rule(
        code="DSK-05",
        title="the disk of the machine is read-only",
        cause="The kernel turns a file system read-only when it finds it damaged, or without room for its own tables.",
        fix=("dmesg | grep -i -e btrfs -e ext4 -e 'I/O error'",),
        look=prints(r"(?i)read-only file system|^\S+ / ro\b", "mounts", "journal *"),
        hides=("DSK-03", "SVC-02", "HOP-*"),
    ),
    Rule(
        code="DSK-06",
        title="the disk of the machine is full",
        cause="Less than a twentieth of it is free.",
        fix=("@ du -xh --max-depth=2 /var /opt",),
        look=prints(r"(?:9[6-9]|100)% (?P<mount>/\S*)$", "disk"),
        hides=("DSK-03", "SVC-02", "HOP-*"),
    ),
    Rule(
        code="STT-01",
        title="a file of the model is damaged",
        cause="A download was cut off, a disk was full, or a page of HTML was stored in its place. The service cannot"
        " load it.",
        fix=("@ rm -r {folder}", "make apply-stt"),
        look=prints(
            r"(?:model\.bin|config\.json|vocabulary\S*|preprocessor_config\.json) is damaged \(.*"
            r"; remove (?P<folder>\S+) and"
            r"|invalid payload size|File model\.bin is incomplete|binary version v\d{6,}",
            *JOURNALS,
        ),
        hides=(*ROOT_CAUSES, "STT-03"),
    ),
    Rule(
        code="STT-02",
        title="the tokenizer of the model is damaged",
        cause="tokenizer.json was cut off: its download was interrupted, or the disk was full.",
        fix=("@ rm -r {folder}", "make apply-stt"),
        look=prints(
            r"tokenizer\.json is damaged \(.*; remove (?P<folder>\S+) and|EOF while parsing .* at line", *JOURNALS
        ),
        hides=(*ROOT_CAUSES, "STT-03"),
    ),
    Rule(
        code="STT-03",
        title="a model is not installed",
        cause="The service asks for a model that is not in its cache: it was removed, or never fetched.",
        fix=("make apply-stt",),
        look=either(
            # a client that asks for a model that nobody has is no fault of the service
            prints(r"(?i)is not installed locally", "hops", "refused *"),
            prints(r"is missing; remove \S+ and install|neither a folder nor in the hub cache", *JOURNALS),
        ),
        hides=ROOT_CAUSES,
    ),
    Rule(
        code="STT-04",
        title="the model hub cannot be reached",
        cause="The machine has no way out, its proxy is not set, or the hub refuses more requests for now (429).",
        fix=("@ curl -sSI https://huggingface.co", "make apply-stt"),
        look=prints(
            r"(?i)couldn't connect to '?https?://\S*hugging|LocalEntryNotFound"
            r"|huggingface\S*.*(?:429|Max retries|Name or service)"
            r"|429 (?:Client Error|Too Many Requests)|hub.*cannot be reached|hub.*HTTP 429",
            *JOURNALS,
        ),
        hides=("STT-03", *ROOT_CAUSES),
    ),
    Rule(
        code="STT-05",
        title="the STT server refuses the key it is given",
        cause="The key was changed on one side alone.",
        fix=("make apply",),
        look=prints(
            r"(?i)refuses this API key|wants an API key and none was given|HTTP 401|External: 401"
            r"|invalid_api_key|Incorrect API key",
            "hops",
            "journal open-webui",
            "journal wyoming",
        ),
        hides=("HOP-*",),
    ),
    Rule(
        code="STT-06",
        title="the address of the STT server has to end in one /v1",
        cause="Open WebUI adds /audio/transcriptions to the address that it is given. Without /v1, or with two, the"
        " server answers 404.",
        fix=("make sync", "make apply"),
        look=_doubled,
        hides=("HOP-*",),
    ),
    Rule(
        code="STT-07",
        title="the STT server answers without a key, though one is set",
        cause="It runs with settings from before the key was set: everybody who reaches its port can use it.",
        fix=("make apply-stt",),
        look=prints(r"^HTTP 2\d\d$", "keyless"),
    ),
    Rule(
        code="BAK-01",
        severity=WARNING,
        preflight=True,
        title="there is no backup of Open WebUI that is whole and younger than two days",
        cause="Accounts, chats and settings are in one database. Backups are made at night, and by `make backup`.",
        fix=("make backup", "@ systemctl list-timers open-webui-backup.timer"),
        look=prints(r"^(?:no backup|.* is damaged|.*, (?:4[89]|[5-9]\d|\d{3,}) hours old)", "backups"),
    ),
    Rule(
        code="TLS-01",
        title="the certificate of the page has expired",
        cause="Browsers refuse the page. One of our own authority is renewed by an apply.",
        fix=("make apply",),
        look=prints(r"(?i)certificate has expired", "https"),
        hides=("HOP-*", "TLS-04", "CFG-01"),
    ),
    Rule(
        code="TLS-02",
        title="the certificate of the page is not valid yet",
        cause="The clock of this machine is behind, or the certificate was made where the clock was ahead.",
        fix=("date", "timedatectl", "make apply"),
        look=prints(r"(?i)certificate is not yet valid", "https"),
        hides=("HOP-*", "TLS-04", "CLK-01"),
    ),
    Rule(
        code="TLS-03",
        title="the certificate of the page is not from the authority that people trust",
        cause="The authority in secrets/ca was renewed and the page has the former one's certificate, or it is for"
        " another name.",
        fix=("make apply",),
        look=prints(
            r"(?i)self.signed certificate|unable to get (?:local )?issuer certificate|hostname mismatch"
            r"|not valid for|signature failure",
            "https",
        ),
        hides=("TLS-04",),
    ),
    Rule(
        code="TLS-04",
        severity=WARNING,
        title="the certificate of the page ends soon",
        cause="It is valid for less than thirty days. One of our own authority is renewed by an apply, one of an ACME"
        " server by Caddy: its log says why it was not.",
        fix=("make apply", "@ journalctl -u caddy -n 50"),
        look=_ends_soon,
    ),
    Rule(
        code="TLS-05",
        severity=WARNING,
        title="the page has no HTTPS, so that browsers give it no microphone",
        cause="Browsers hand the microphone to pages over HTTPS alone, except on http://localhost. Behind a proxy of"
        " your own that speaks HTTPS this can be ignored.",
        fix=("sed -i 's/^open_webui_https: false/open_webui_https: true/' host_vars/{host}.yml", "make apply"),
        look=_no_https,
    ),
    Rule(
        code="CFG-01",
        title="settings on the machine are not those of the project",
        cause="A file was changed on the machine by hand, or host_vars were changed and not applied.",
        fix=("make plan", "make apply"),
        look=prints(r"^differs: (?P<path>\S+)", "drift *"),
    ),
    Rule(
        code="CFG-02",
        kind=INCUS_HOST,
        title="Incus does not hold what infra.yml says",
        cause="infra.yml was changed and not applied, or an object was changed by hand.",
        fix=("make plan", "make apply"),
        look=prints(r"^\s*[+~*-] .+", "plan"),
        hides=("CFG-03",),
    ),
    Rule(
        code="CFG-07",
        kind=INCUS_HOST,
        title="infra.yml cannot be applied to this host",
        cause="It has a fault, or something on this host stands in its way; the message says what.",
        fix=("make check", "make plan"),
        look=prints(r"\S", "plan refused"),
        hides=("CFG-02", "CFG-03", "INC-05"),
    ),
    Rule(
        code="CFG-03",
        kind=INCUS_HOST,
        title="the inventory is older than infra.yml",
        cause="infra.yml was changed, and sync was not run since.",
        fix=("make sync",),
        look=prints(r"make sync", "inventory"),
    ),
    Rule(
        code="CFG-04",
        title="the inventory does not say in which project of Incus the machine is",
        cause="Without ansible_incus_project the connection looks in the project `default`, and finds nothing, or"
        " another machine of that name.",
        fix=("make sync",),
        look=_no_project,
        hides=("HOP-*", "INC-05"),
    ),
    Rule(
        code="CFG-05",
        title="an apply would be refused",
        cause="The settings of a role contradict each other or the machine; the message says which.",
        fix=("make plan",),
        look=prints(r"\S", "refused *"),
        hides=("HOP-*",),
    ),
    Rule(
        code="CFG-06",
        severity=WARNING,
        title="a service runs with older settings than those on the machine",
        cause="An apply was cut off between writing and restarting, or a file was written by hand.",
        fix=("@ systemctl restart {unit}",),
        look=prints(r"^needs a restart: (?P<unit>\S+)", "drift *"),
    ),
    Rule(
        code="CFG-08",
        kind=INCUS_HOST,
        severity=WARNING,
        title="secrets of the project can be read by others",
        cause="Keys and passwords in secrets/ are for their owner alone. A copy may have lost that.",
        fix=("chmod -R go= {folder}",),
        look=prints(r"^[0-7]{3,4} (?P<folder>.*/secrets)\b", "secrets"),
    ),
    Rule(
        code="MON-01",
        title="the monitor does not see a machine",
        cause="Prometheus cannot ask one of its targets: it does not run, or lies in another domain and no network"
        " policy lets the monitor reach it.",
        fix=("make verify", "make plan"),
        look=prints(r"FAILED\s+Prometheus sees every target", "hops"),
        hides=("HOP-01",),
    ),
    Rule(
        code="MON-02",
        title="alerts are not loaded, or do not arrive",
        cause="Prometheus has rules that it cannot work out, Alertmanager does not run, or whom it tells does not take"
        " it: the address or the password of monitoring_webhook_url or monitoring_mail_server is another's.",
        fix=("@ journalctl -u prometheus-alertmanager -n 50", "make apply"),
        look=prints(r"FAILED\s+(?:Prometheus has its rules|Alertmanager)\b", "hops"),
        hides=("HOP-01",),
    ),
    Rule(
        code="HOP-01",
        title="a hop is broken, and no rule says why",
        cause="verify has found a broken hop on the way to a recognised sentence, and nothing else that is wrong"
        " explains it.",
        fix=("{next}",),
        look=_broken_hop,
        last=True,
    ),
    Rule(
        code="HOP-02",
        title="a long recording is not transcribed",
        cause="A sentence is, and the same sentence said for many minutes is not: the upload is larger than"
        " stt_server_max_upload, the memory does not suffice, or the model loses itself.",
        fix=("@ journalctl -u speaches -n 50",),
        look=prints(LONG.pattern, "hops"),
        last=True,
    ),
    Rule(
        code="DOC-01",
        title="a rule of the doctor has failed",
        cause="A fault in this collection, or an answer that it does not know. The others were asked all the same.",
        fix=("make doctor ARGS=-v",),
        look=_nothing,
        severity=WARNING,
    ),
)
