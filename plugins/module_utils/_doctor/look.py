# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at a machine for the doctor: runs commands that read, asks Incus, changes nothing. What it means, rules say."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tarfile
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import IncusError, ServiceError
from ansible_collections.anklume.stt.plugins.module_utils._base.http import Server
from ansible_collections.anklume.stt.plugins.module_utils._doctor.snapshot import Said, without_secrets
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import Client, path_of
from ansible_collections.anklume.stt.plugins.module_utils._incus.transport import UnixTransport

PATIENCE = 10
"""Seconds for one command."""
RECENT = 3600
"""Seconds that logs are read back: what was mended before is no finding."""
TOLD_BY_KERNEL = re.compile(
    r"oom-kill:|memory: usage \d+kB, limit|NVRM|BTRFS|EXT4-fs error|apparmor=\"DENIED\"|I/O error"
)
PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "NRestarts",
    "ExecMainStatus",
    "UnitFileState",
    "InvocationID",
    "ActiveEnterTimestampMonotonic",
)


def run(*command: str, patience: float = PATIENCE) -> Said:
    """Run a command that only reads; one that is not installed is skipped."""
    shown = " ".join(command)
    if not shutil.which(command[0]):
        return Said(shown, skipped=f"{command[0]} is not installed")
    try:
        # run_command knows no time limit; who is stuck in a driver is not waited for
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C"},
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        return Said(shown, skipped=f"{command[0]} cannot be run: {error.strerror}")
    try:
        text = process.communicate(timeout=patience)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return Said(shown, f"{command[0]} did not end within {patience:g} s", 124)
    return Said(shown, without_secrets(text), process.returncode)


def file(path: str) -> Said:
    """What a file holds."""
    try:
        return Said(f"cat {path}", Path(path).read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        return Said(f"cat {path}", skipped=f"{path}: {error.strerror}")


def together(looks: Mapping[str, Callable[[], Said]]) -> dict[str, Said]:
    """Several looks at the same time."""
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(looks, pool.map(lambda look: look(), looks.values()), strict=True))


def devices() -> Said:
    """The nodes of NVIDIA's driver."""
    return Said("ls /dev/nvidia*", "\n".join(sorted(str(path) for path in Path("/dev").glob("nvidia*"))))


def nvidia(program: str, *, there: bool) -> Said:
    """What nvidia-smi says, where there may be something to say."""
    if not program and not there:
        return Said("nvidia-smi", skipped="no NVIDIA GPU is here")
    return run(program or "nvidia-smi", patience=20)


# --- the Incus host ---


def incus_host(
    path: str, wanted: Iterable[Mapping[str, str]], nvidia_smi: str = "", secrets: str = ""
) -> dict[str, Said]:
    """The host and, of Incus, the instances that are `wanted`: host, instance and project of each."""
    there = any(_read(file) == "0x10de" for file in Path("/sys/bus/pci/devices").glob("*/vendor"))
    said = together(
        {
            "nft": lambda: _as_root(run("nft", "-j", "-t", "list", "ruleset")),
            "ip_forward": lambda: file("/proc/sys/net/ipv4/ip_forward"),
            "name servers": _name_servers,
            "mtu": _mtu,
            "subuid": lambda: file("/etc/subuid"),
            "subgid": lambda: file("/etc/subgid"),
            "clock": _clock,
            "kernel": _kernel,
            "devices": devices,
            "secrets": lambda: _open_files(secrets),
            "nvidia-smi": lambda: nvidia(nvidia_smi, there=there or Path("/dev/nvidiactl").exists()),
            "daemon": _daemon,
        }
    )
    try:
        with Client(UnixTransport(path)).closing() as client:
            said |= _incus(client, list(wanted))
    except IncusError as error:
        said["incus"] = Said("incus info", str(error), 1)
    return said


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _as_root(said: Said) -> Said:
    return Said(said.command, skipped="only root may ask it") if said.status and os.geteuid() else said


def _mtu() -> Said:
    ways = {
        line.split()[0] for line in _read(Path("/proc/net/route")).splitlines()[1:] if line.split()[1] == "00000000"
    }
    lines = [
        f"{link.name} {_read(link / 'mtu')}{' default' if link.name in ways else ''}"
        for link in sorted(Path("/sys/class/net").glob("*"))
        if _read(link / "mtu")
    ]
    return Said("cat /sys/class/net/*/mtu", "\n".join(lines))


def _name_servers() -> Said:
    """Whom the host asks for names, and with it every dnsmasq of Incus; not asked where there is no way out."""
    command = "grep nameserver /etc/resolv.conf"
    if " default" not in _mtu().text:
        return Said(command, skipped="the host has no way out")
    try:
        text = Path("/etc/resolv.conf").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return Said(command, f"/etc/resolv.conf: {error.strerror}", 2)
    lines = [line for line in text.splitlines() if line.startswith("nameserver")]
    return Said(command, "\n".join(lines), int(not lines))


def _open_files(folder: str) -> Said:
    """What others than its owner may read, with its mode."""
    command = f"find {folder} -perm /077"
    if not folder or not Path(folder).is_dir():
        return Said(command, skipped="there are no secrets")
    files = [(path, path.stat().st_mode & 0o777) for path in sorted(Path(folder).rglob("*")) if path.is_file()]
    # a folder that is closed keeps what is in it
    closed = not Path(folder).stat().st_mode & 0o077
    lines = [] if closed else [f"{mode:o} {path}" for path, mode in files if mode & 0o077]
    return Said(command, "\n".join(lines))


def _daemon() -> Said:
    """What the daemon said since its last start."""
    found = _by_unit(_units(["incus"])).get("incus")
    return _journal("incus", found) if found else Said("journalctl -u incus", skipped="systemd does not run it")


def _clock() -> Said:
    said = run("timedatectl", "show", "-p", "NTPSynchronized", "-p", "NTP")
    found = dict(line.split("=", 1) for line in said.text.splitlines() if "=" in line)
    if said.status or said.skipped or "NTP" not in found:
        return Said(said.command, skipped=said.skipped or "it does not answer")
    return Said(said.command, f"NTPSynchronized={found.get('NTPSynchronized')}, NTP={found['NTP']}")


def _kernel() -> Said:
    said = _as_root(run("dmesg"))
    since = time.clock_gettime(time.CLOCK_BOOTTIME) - RECENT
    lines = [
        line
        for line in said.text.splitlines()
        if TOLD_BY_KERNEL.search(line)
        and (found := re.match(r"\[\s*(\d+)\.", line)) is not None
        and int(found[1]) >= since
    ]
    return Said(said.command, "\n".join(lines), said.status, said.skipped)


def _incus(client: Client, wanted: list[Mapping[str, str]]) -> dict[str, Said]:
    server = client.get(path_of())
    bodies = {
        (body["project"], body["name"]): body
        for body in client.get(path_of("instances"), recursion="2", all_projects="true")
    }
    instances = [_instance(one, bodies.get((one["project"], one["instance"]))) for one in wanted]
    bridges = {bridge for one in instances for bridge in one["bridges"]}
    networks = [
        {
            "name": body["name"],
            "address": body["config"].get("ipv4.address", "").replace("none", ""),
            "dns": body["config"].get("dns.mode", "managed"),
            "nat": body["config"].get("ipv4.nat") == "true",
        }
        for body in client.get(path_of("networks"), recursion="1")
        if body["managed"] and body["type"] == "bridge" and body["name"] in bridges
    ]
    wants_gpu = any(one["gpu"] for one in instances)
    cards = (client.get(path_of("resources")).get("gpu") or {}).get("cards") or () if wants_gpu else ()
    said = {
        "incus": Said("incus info", f"server_version {server['environment']['server_version']}"),
        "firewall": Said("incus info", server["environment"]["firewall"]),
        "instances": _listed("incus list --all-projects", instances),
        "networks": _listed("incus network list", networks),
        "pools": _listed("incus storage info", _pools(client)),
        "warnings": _listed("incus warning list", _warnings(client)),
        "gpus": Said("incus info --resources", "\n".join(str(card.get("product", "GPU")) for card in cards)),
        "nvidia_tools": Said("which nvidia-container-cli", shutil.which("nvidia-container-cli") or ""),
        "dns": Said("nc -z BRIDGE 53", "\n".join(filter(None, (_dns(one) for one in networks)))),
        "links": _links(networks),
        "firewalld": _firewalld(networks),
    }
    for one in instances:
        if one["status"] not in ("Running", "Missing"):
            said[f"log {one['instance']}"] = run(
                "incus", "info", one["instance"], "--project", one["project"], "--show-log"
            )
    return said


def _listed(command: str, found: list[dict[str, Any]]) -> Said:
    return Said(command, without_secrets(json.dumps(found)))


def _instance(wanted: Mapping[str, str], body: Mapping[str, Any] | None) -> dict[str, Any]:
    found = dict(wanted) | {"status": body["status"] if body else "Missing"}
    attached = (body or {}).get("expanded_devices") or {}
    config = (body or {}).get("expanded_config") or {}
    state = (body or {}).get("state") or {}
    disk = (state.get("disk") or {}).get("root") or {}
    return found | {
        "runs_for": _since(str((body or {}).get("last_used_at") or "")),
        "ipv4": [
            one["address"]
            for card in (state.get("network") or {}).values()
            for one in card.get("addresses") or ()
            if card.get("host_name") and (one["family"], one["scope"]) == ("inet", "global")
        ],
        "disk_used": disk.get("usage", 0),
        "disk_total": disk.get("total", 0),
        "memory_limit": (state.get("memory") or {}).get("total", 0),
        "gpu": any(device["type"] == "gpu" for device in attached.values()),
        "nvidia_runtime": config.get("nvidia.runtime") == "true",
        "bridges": [
            device.get("network") or device.get("parent") or ""
            for device in attached.values()
            if device["type"] == "nic"
        ],
        "doors": [
            device.get("listen", "")
            for device in attached.values()
            if device["type"] == "proxy" and device.get("bind", "host") == "host"
        ],
        "sources_missing": {
            name: device["source"]
            for name, device in attached.items()
            if device["type"] == "disk"
            and "pool" not in device
            and device.get("required") != "false"
            and device.get("source", "").startswith("/")
            and _gone(device["source"])
        },
    }


def _since(moment: str) -> int:
    """Seconds since a moment as Incus writes it: an instance was last used when it was started."""
    try:
        return max(0, int(time.time() - datetime.fromisoformat(moment).timestamp()))
    except (ValueError, OverflowError):
        return 0


def _gone(path: str) -> bool:
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # not ours to see
        return False
    return False


def _pools(client: Client) -> list[dict[str, Any]]:
    names = [url.rpartition("/")[2] for url in client.get(path_of("storage-pools"))]
    space = {name: client.get(path_of("storage-pools", name, "resources")).get("space") or {} for name in names}
    return [{"name": name, "used": one.get("used", 0), "total": one.get("total", 0)} for name, one in space.items()]


def _warnings(client: Client) -> list[dict[str, Any]]:
    kept = ("uuid", "severity", "status", "type", "last_message", "entity_url")
    return [{key: body.get(key, "") for key in kept} for body in client.get(path_of("warnings"), recursion="1")]


def _dns(network: Mapping[str, str]) -> str:
    """Whether somebody listens: a question would be answered from a cache, or by another."""
    address = network["address"].partition("/")[0]
    if not address or network["dns"] == "none":
        return ""
    try:
        socket.create_connection((address, 53), 2).close()
    except ConnectionRefusedError:
        return f"{network['name']}: {address} port 53: refused"
    except OSError:
        return ""
    # another that listens on all addresses answers here too, and keeps Incus's own from its place
    whose = ", and Incus's dnsmasq for this bridge does not run" if _lacks_dnsmasq(network["name"]) else ""
    return f"{network['name']}: {address} port 53: open{whose}"


def _lacks_dnsmasq(bridge: str) -> bool:
    """Whether Incus runs here where it is seen, and its dnsmasq for a bridge does not."""
    commands = [command for path in Path("/proc").glob("[0-9]*/cmdline") if (command := _command(path))]
    sees = any(command[0].endswith("incusd") for command in commands)
    own = any(f"--interface={bridge}" in command and "dnsmasq" in command[0] for command in commands)
    return sees and not own


def _command(path: Path) -> list[str]:
    try:
        return path.read_bytes().decode(errors="replace").split("\0")
    except OSError:  # it has ended
        return []


def _links(networks: Iterable[Mapping[str, str]]) -> Said:
    """The bridges as the kernel has them: up or down, and their IPv4 addresses."""
    said = run("ip", "-j", "addr", "show")
    if said.skipped or said.status:
        return Said(said.command, skipped=said.skipped or said.text.strip())
    links = {link["ifname"]: link for link in json.loads(said.text)}
    return Said("ip addr show", "\n".join(_link(one["name"], links.get(one["name"])) for one in networks))


def _link(name: str, link: Mapping[str, Any] | None) -> str:
    if not link:
        return f"{name}: gone"
    addresses = [one["local"] for one in link.get("addr_info", ()) if one["family"] == "inet"]
    return " ".join([f"{name}:", "up" if "UP" in link.get("flags", ()) else "down", *addresses])


def _firewalld(networks: Iterable[Mapping[str, str]]) -> Said:
    said = run("firewall-cmd", "--state")
    if said.skipped or said.text.strip() != "running":
        return Said(said.command, skipped=said.skipped or "firewalld does not run")
    zones = {one["name"]: run("firewall-cmd", f"--get-zone-of-interface={one['name']}").text for one in networks}
    lines = "\n".join(f"{name}: {zone.strip()}" for name, zone in zones.items())
    return Said("firewall-cmd --get-zone-of-interface", lines)


# --- a machine with services ---


def instance(
    units: list[str],
    https: Mapping[str, Any] | None = None,
    nvidia_smi: str = "",
    keyless_port: int = 0,
    backups: str = "",
    *,
    compose: str = "",
) -> dict[str, Said]:
    """Units and their logs, disks, GPU, the certificate of the page, an answer without a key, backups, a container."""
    shown = _units(units) if units else Said("systemctl show", skipped="it has no unit of ours")
    looks: dict[str, Callable[[], Said]] = {
        "disk": lambda: run("df", "-Ph", "-x", "tmpfs", "-x", "devtmpfs", "-x", "overlay", "/", "/var/lib"),
        "mounts": _mounts,
        "devices": devices,
        "nvidia-smi": lambda: nvidia(nvidia_smi, there=bool(shutil.which("nvidia-smi"))),
    }
    for unit, found in _by_unit(shown).items():
        looks[f"journal {unit}"] = lambda unit=unit, found=found: _journal(unit, found)  # type: ignore[misc]
    if https:
        looks["https"] = lambda: certificate(**https)
    if keyless_port:
        looks["keyless"] = lambda: keyless(keyless_port)
    if backups:
        looks["backups"] = lambda: newest(backups)
    if compose:
        looks |= _docker(f"{compose}/compose.yaml")
    return {"units": shown, **together(looks)}


CONTAINER = """\
State={{.State.Status}}
Health={{with .State.Health}}{{.Status}}{{end}}
OOMKilled={{.State.OOMKilled}}
ExitCode={{.State.ExitCode}}
Restarts={{.RestartCount}}
StartedAt={{.State.StartedAt}}
Error={{.State.Error}}"""
"""What `docker inspect` is asked for."""


def _docker(compose: str) -> dict[str, Callable[[], Said]]:
    """The container of a service of Compose and its log, in the place of a unit's; and what Docker has to do with."""
    seen = _container(compose)
    return {
        "container": lambda: seen,
        "journal speaches": lambda: _container_log(compose, seen),
        "nft": lambda: _as_root(run("nft", "-j", "-t", "list", "ruleset")),
        "addresses": lambda: run("ip", "-j", "-4", "address"),
    }


def _container(compose: str) -> Said:
    said = run("docker", "compose", "-f", compose, "ps", "--all", "--quiet", "speaches")
    found = re.findall(r"(?m)^[0-9a-f]{64}$", said.text)
    if said.status or said.skipped or not found:
        return Said(said.command, said.text if said.status else "", said.status, said.skipped)
    seen = run("docker", "inspect", "--format", CONTAINER, found[0])
    return Said(f"docker inspect {found[0][:12]}", seen.text, seen.status, seen.skipped)


def _container_log(compose: str, seen: Said) -> Said:
    """As of a unit: of one that runs the lines of its last start alone."""
    block = dict(re.findall(r"(?m)^(\w+)=(.*)$", seen.text))
    if "StartedAt" not in block:
        return Said("docker compose logs", skipped="there is no container")
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - RECENT))
    if block["State"] == "running" and int(block["Restarts"] or 0) == 0:
        since = max(since, block["StartedAt"])
    begin = ("docker", "compose", "-f", compose, "logs", "--no-color", "--no-log-prefix", "--tail", "80")
    return run(*begin, "--since", since, "speaches")


def keyless(port: int) -> Said:
    """What the STT server says to who has no key."""
    url = f"http://127.0.0.1:{port}"
    command = f"curl -so /dev/null -w 'HTTP %{{http_code}}' {url}/v1/models"
    try:
        return Said(command, f"HTTP {Server(url, timeout=5, proxies=False).request('GET', '/v1/models').status}")
    except ServiceError as error:
        return Said(command, skipped=str(error))


def newest(folder: str) -> Said:
    """The newest backup, read to its end, and its age."""
    command = f"ls -t {folder}"
    found = sorted(Path(folder).glob("*.tar.gz"), key=lambda path: path.stat().st_mtime)
    if not found:
        return Said(command, "no backup")
    hours = int((time.time() - found[-1].stat().st_mtime) // 3600)
    try:
        with tarfile.open(found[-1], "r:gz") as archive:
            names = archive.getnames()
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        return Said(command, f"{found[-1].name} is damaged: {error}")
    return Said(command, f"{found[-1].name}: {len(names)} files, {hours} hours old")


def _units(units: list[str]) -> Said:
    said = run("systemctl", "show", f"--property={','.join(PROPERTIES)}", *units)
    now = time.clock_gettime(time.CLOCK_MONOTONIC)
    blocks = []
    for block in re.split(r"\n\n+", said.text.strip()):
        entered = re.search(r"(?m)^ActiveEnterTimestampMonotonic=(\d+)$", block)
        runs = max(0, int(now - int(entered[1]) / 1e6)) if entered and int(entered[1]) else 0
        blocks.append(f"{block}\nRunsFor={runs}")
    command = f"systemctl show {' '.join(units)}"
    return Said(command, "\n\n".join(blocks) if said.text.strip() else "", said.status, said.skipped)


def _by_unit(said: Said) -> dict[str, dict[str, str]]:
    blocks = [dict(re.findall(r"(?m)^(\w+)=(.*)$", block)) for block in said.text.split("\n\n")]
    return {
        block["Id"].removesuffix(".service"): block
        for block in blocks
        if block.get("LoadState") == "loaded" and "Id" in block
    }


def _journal(unit: str, found: Mapping[str, str]) -> Said:
    """The lines of the last start alone; of one that ends again and again, those of the last minutes."""
    begin = ("journalctl", "--no-pager", "-q", "-o", "cat", "-n", "80", "--since")
    if int(found.get("NRestarts") or 0) and found["ActiveState"] != "active":
        return run(*begin, "-10min", "-u", unit)
    if invocation := found.get("InvocationID"):
        return run(*begin, "-1h", f"_SYSTEMD_INVOCATION_ID={invocation}", "+", f"INVOCATION_ID={invocation}")
    return Said(f"journalctl -u {unit}", skipped="it was never started")


def _mounts() -> Said:
    lines = [line for line in _read(Path("/proc/mounts")).splitlines() if line.split()[1] == "/"]
    return Said("grep ' / ' /proc/mounts", "\n".join(" ".join(_mount(line)) for line in lines))


def _mount(line: str) -> tuple[str, str, str]:
    source, target, dummy, options, *_more = line.split()
    return source, target, options.split(",")[0]


def certificate(port: int, name: str, authority: str) -> Said:
    """What the certificate of the page is worth to who trusts an authority (PEM; empty: another than ours)."""
    command = f"openssl s_client -connect 127.0.0.1:{port} -servername {name} -verify_return_error"
    try:
        context = ssl.create_default_context(cadata=authority or None)
        with (
            socket.create_connection(("127.0.0.1", port), 5) as plain,
            context.wrap_socket(plain, server_hostname=name) as there,
        ):
            ends = ssl.cert_time_to_seconds(str((there.getpeercert() or {})["notAfter"]))
    except ssl.SSLCertVerificationError as error:
        dated = "expired" in error.verify_message or "not yet valid" in error.verify_message
        if not (authority or dated):  # whom people trust is known of our own authority alone
            return Said(command, skipped=f"no certificate of our authority, and here {error.verify_message}")
        return Said(command, f"{name}: {error.verify_message}", 1)
    except (OSError, ValueError) as error:
        return Said(command, skipped=f"no certificate was shown: {error}")
    return Said(command, f"{name}: valid for another {int((ends - time.time()) // 86400)} days")
