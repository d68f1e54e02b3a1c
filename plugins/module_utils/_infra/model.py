# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What infra.yml means once it is checked: immutable values, every default filled in, no YAML left.

`check` makes a :class:`Model`; `render` turns it into files and `_incus.desired` into Incus
objects. Nothing here reads or writes anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

Config = Mapping[str, str]
"""Incus `config` keys: values are always strings, as Incus keeps them."""

Devices = Mapping[str, Config]
"""Incus devices by name, each with its keys as strings."""


@dataclass(frozen=True)
class Profile:
    """An Incus profile of a domain (`domains.<d>.profiles.<p>`)."""

    name: str
    config: Config = field(default_factory=dict)
    devices: Devices = field(default_factory=dict)


@dataclass(frozen=True)
class StorageVolume:
    """A custom volume of a machine (`storage_volumes.<name>`).

    `pool` is "" for that of the root disk; `size` is like "20GiB", "" without a quota.
    """

    name: str
    pool: str
    path: str
    size: str = ""


@dataclass(frozen=True)
class PersistentData:
    """A host folder that outlives its machine (`persistent_data.<name>`), mounted at `path`."""

    name: str
    source: str
    path: str
    readonly: bool = False


@dataclass(frozen=True)
class Publication:
    """A port of the host that leads to a machine (`publish`). `sources` are "lan", "any" or networks in CIDR form."""

    port: int
    to: int
    protocol: Literal["tcp", "udp"] = "tcp"
    sources: tuple[str, ...] = ("lan",)
    where: str = field(default="", compare=False)
    """`file:line:column`, for faults that only the host can tell."""


@dataclass(frozen=True)
class Machine:
    """One instance. `ip` is None where Incus may lease any address."""

    name: str
    domain: str
    type: Literal["lxc", "vm"] = "lxc"
    description: str = ""
    ip: str | None = None
    ephemeral: bool = False
    gpu: bool = False
    target: str = ""
    """In a cluster of Incus: the member that it is on, or `@group`; "" where Incus chooses."""
    image: str = "images:debian/13"
    profiles: tuple[str, ...] = ("default",)
    config: Config = field(default_factory=dict)
    devices: Devices = field(default_factory=dict)
    storage_volumes: tuple[StorageVolume, ...] = ()
    persistent_data: tuple[PersistentData, ...] = ()
    publish: tuple[Publication, ...] = ()
    publish_name: str = ""
    """The name with which the host announces it in the local network, without `.local`."""
    publish_without_key: bool = False
    roles: tuple[str, ...] = ()
    weight: int = 1
    boot_autostart: bool | None = None
    boot_priority: int | None = None
    snapshots_schedule: str | None = None
    snapshots_expiry: str | None = None
    carried: Mapping[str, Any] = field(default_factory=dict)
    """Keys of AnKLuMe that are kept in host_vars and not acted on (`services`, `export_apps`)."""


def is_member(target: str) -> bool:
    """Whether a target names one member of a cluster, and leaves Incus no choice."""
    return bool(target) and not target.startswith("@")


@dataclass(frozen=True)
class Network:
    """The bridge of a domain. Addresses are plain IPv4 text; `subnet` is in CIDR form, always a /24."""

    name: str
    subnet: str
    gateway: str
    dhcp_first: str
    dhcp_last: str


@dataclass(frozen=True)
class Remote:
    """An Incus server on another machine (`global.remotes.<name>`); its addresses are tried in turn."""

    name: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Domain:
    """A domain: an Incus project of the same name, a bridge `net-<name>`, profiles and machines."""

    name: str
    network: Network
    subnet_id: int
    description: str = ""
    remote: str = ""
    """The server that it is on; "" for the Incus of this machine."""
    ephemeral: bool = False
    trust_level: str | None = None
    profiles: tuple[Profile, ...] = ()
    machines: tuple[Machine, ...] = ()
    carried: Mapping[str, Any] = field(default_factory=dict)

    @property
    def project(self) -> str:
        """The name of the Incus project."""
        return self.name


@dataclass(frozen=True)
class Endpoint:
    """One side of a network policy. `name` is that of the kind where there is only one of it."""

    kind: Literal["domain", "machine", "host", "lan", "internet"]
    name: str


@dataclass(frozen=True)
class Policy:
    """A permitted flow. `ports` is None for all ports of the protocol, and never empty; "any" only with all ports."""

    source: Endpoint
    target: Endpoint
    ports: tuple[str, ...] | None = None
    protocol: Literal["tcp", "udp", "any"] = "tcp"
    bidirectional: bool = False
    description: str = ""


@dataclass(frozen=True)
class Lan:
    """What `global.lan` says of the local network; what it leaves out is looked up on the host."""

    networks: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class SharedVolume:
    """A host folder mounted in several machines; consumers map a machine to "ro" or "rw"."""

    name: str
    source: str
    path: str
    consumers: Mapping[str, Literal["ro", "rw"]]
    shift: bool = True
    propagate: bool = False


@dataclass(frozen=True)
class ResourcePolicy:
    """How host CPU and memory are shared out by `weight` (AnKLuMe's `resource_policy`)."""

    host_reserve_cpu: str = "20%"
    host_reserve_memory: str = "20%"
    mode: Literal["proportional", "equal"] = "proportional"
    cpu_mode: Literal["allowance", "count"] = "allowance"
    memory_enforce: Literal["soft", "hard"] = "soft"
    overcommit: bool = False


@dataclass(frozen=True)
class Model:
    """A whole infra.yml, disabled domains left out."""

    project_name: str
    domains: tuple[Domain, ...] = ()
    policies: tuple[Policy, ...] = ()
    shared_volumes: tuple[SharedVolume, ...] = ()
    lan: Lan = Lan()
    remotes: tuple[Remote, ...] = ()
    default_image: str = "images:debian/13"
    gpu_policy: Literal["exclusive", "shared"] = "exclusive"
    firewall_mode: Literal["host", "vm"] = "host"
    base_subnet: str | None = None
    addressing: Mapping[str, int] | None = None
    default_connection: str | None = None
    default_user: str | None = None
    resource_policy: ResourcePolicy | None = None
    carried: Mapping[str, Any] = field(default_factory=dict)
    disabled: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The machines of each disabled domain: left out everywhere, but their files are not leftovers."""

    def on(self, remote: str) -> Model:
        """What is on one server ("" for this machine): no domain of another is known there."""
        if not self.remotes:
            return self
        domains = tuple(domain for domain in self.domains if domain.remote == remote)
        here = {Endpoint("domain", domain.name) for domain in domains}
        here |= {Endpoint("machine", machine.name) for domain in domains for machine in domain.machines}
        policies = tuple(one for one in self.policies if here & {one.source, one.target})
        return replace(self, domains=domains, policies=policies, remotes=())

    @cached_property
    def machines(self) -> tuple[Machine, ...]:
        """All machines, domain by domain, in the order of the file."""
        return tuple(machine for domain in self.domains for machine in domain.machines)

    @cached_property
    def is_one_block(self) -> bool:
        """Whether all domains lie in the base subnet."""
        base = f"{self.base_subnet}."
        return bool(self.base_subnet) and all(domain.network.subnet.startswith(base) for domain in self.domains)

    @cached_property
    def addresses(self) -> Mapping[str, str | None]:
        """The fixed address of each machine."""
        return {machine.name: machine.ip for machine in self.machines}

    @cached_property
    def homes(self) -> Mapping[Endpoint, Domain]:
        """The domain that an endpoint is, or lies in."""
        found = {Endpoint("machine", machine.name): domain for domain in self.domains for machine in domain.machines}
        return found | {Endpoint("domain", domain.name): domain for domain in self.domains}

    @cached_property
    def crossings(self) -> Mapping[str, Sequence[tuple[Policy, Endpoint, Endpoint]]]:
        """What the policies let into and out of each domain: policy, source, target, each direction by itself."""
        found: dict[str, list[tuple[Policy, Endpoint, Endpoint]]] = {}
        for policy in self.policies:
            ways = [(policy.source, policy.target), (policy.target, policy.source)]
            for source, target in ways if policy.bidirectional else ways[:1]:
                ends = [self.homes.get(source), self.homes.get(target)]
                if ends[0] is not ends[1]:
                    for home in ends:
                        if home is not None:
                            found.setdefault(home.name, []).append((policy, source, target))
        return found
