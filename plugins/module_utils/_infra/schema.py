# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one description of infra.yml: every key, what it may hold, what it means.

`check` judges files by it, the JSON schema for editors and the reference page are written from it.
What needs more than one value at a time (addresses in their subnet, names that must exist) is in `check`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

NAME = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
NAME_SAYS = "lower-case letters, digits and inner hyphens"
ABSOLUTE = r"^/"
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"(?:{_BYTE}\.){{3}}{_BYTE}"
_BITS = r"(?:3[0-2]|[12]?[0-9])"
_PORT = r"(?:6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
SIZE = r"^(?:[0-9]+(?:\.[0-9]+)?(?:[kMGTPE]?B|[KMGTPE]iB)|[0-9]{7,}|0)$"
"""Without a unit it is a number of bytes; fewer than a million are a unit forgotten."""
PERCENT = r"^[1-9][0-9]?%$"


def _times(one: str) -> str:
    """A field of a cron table: `*`, numbers, ranges, steps."""
    item = rf"(?:[*?]|{one}(?:-{one})?)(?:/[1-9][0-9]*)?"
    return f"{item}(?:,{item})*"


SCHEDULE = (
    "^"
    + " +".join(
        map(
            _times,
            (
                "[0-5]?[0-9]",
                "(?:2[0-3]|[01]?[0-9])",
                "(?:3[01]|[12][0-9]|0?[1-9])",
                "(?:1[0-2]|0?[1-9]|[A-Za-z]{3})",
                "(?:0?[0-6]|[A-Za-z]{3})",
            ),
        )
    )
    + "$"
)


@dataclass(frozen=True)
class Text:
    """A string. `says` completes "must be …", `because` explains `longest`, `refused` are words already taken."""

    pattern: str | None = None
    says: str = "text"
    longest: int | None = None
    because: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """One of a few words. `also` are words of others for the same."""

    values: tuple[str, ...]
    also: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Whole:
    """An integer."""

    low: int
    high: int | None = None


@dataclass(frozen=True)
class Number:
    """A number above zero, with or without decimals."""


@dataclass(frozen=True)
class Flag:
    """true or false; `only` when just one of them has a meaning."""

    only: bool | None = None


@dataclass(frozen=True)
class Plain:
    """Any scalar; the model keeps it as the text that Incus will store."""


@dataclass(frozen=True)
class Free:
    """Anything: a part of AnKLuMe's file that is carried along and not looked into."""


@dataclass(frozen=True)
class Listing:
    """A list; `empty` is what an empty one is told, where that would not mean "none"."""

    item: Kind
    empty: str = ""


@dataclass(frozen=True)
class Table:
    """A mapping whose keys are names that the user chooses; `noun` says of what."""

    noun: str
    name: Text
    value: Kind
    filled: bool = False


@dataclass(frozen=True)
class Record:
    """A mapping with known keys; `others` is what any further key may hold; with `notes`, keys `x-…` may be there."""

    keys: Mapping[str, Key]
    others: Kind | None = None
    notes: bool = False

    @cached_property
    def defaults(self) -> Mapping[str, Any]:
        """What the keys are that the file does not say; a record within is filled in too."""
        found = {name: key.default for name, key in self.keys.items() if key.default is not None}
        for name, value in found.items():
            kind = self.keys[name].kind
            if isinstance(kind, Record):
                found[name] = {**kind.defaults, **value}
        return found

    @property
    def carried(self) -> tuple[str, ...]:
        """The keys that are carried only."""
        return tuple(name for name, key in self.keys.items() if not key.acted)


@dataclass(frozen=True)
class Either:
    """One of several kinds, told apart by the form of the value."""

    kinds: tuple[Kind, ...]


# pylint: disable-next=unsupported-binary-operation
Kind = Text | Choice | Whole | Number | Flag | Plain | Free | Listing | Table | Record | Either


@dataclass(frozen=True)
class Key:
    """A key of a record: what it may hold, what it means, and what it is where the file does not say it.

    `default` is filled in by the reading of the form, and nowhere else; `otherwise` says it in words where a value
    cannot. `empty` is what a key without a value is told, where leaving it out would open more. `acted` is False for
    keys that are carried only.
    """

    kind: Kind
    description: str
    example: Any = None
    default: Any = None
    otherwise: str = ""
    required: bool = False
    acted: bool = True
    empty: str = ""

    @property
    def default_words(self) -> str:
        """The default as the reference says it."""
        if self.otherwise or self.default in (None, "", [], {}):
            return self.otherwise
        if isinstance(self.default, bool):
            return str(self.default).lower()
        return f"[{', '.join(self.default)}]" if isinstance(self.default, list) else str(self.default)


_DESCRIPTION = "Free text for people; written to the inventory variables and to Incus."
_PATH = Text(ABSOLUTE, "an absolute path")
_VOLUME_NAME = Text(NAME, NAME_SAYS, 60)
_WORD = Text(r"^\S+$", "one word")
_ADDRESS = Text(rf"^{_IPV4}$", "four numbers from 0 to 255 with dots between them")

DEVICE = Record(
    keys={
        "type": Key(
            Choice(
                (
                    "disk",
                    "gpu",
                    "infiniband",
                    "nic",
                    "none",
                    "pci",
                    "proxy",
                    "tpm",
                    "unix-block",
                    "unix-char",
                    "unix-hotplug",
                    "usb",
                )
            ),
            "The type of the Incus device.",
            "gpu",
            required=True,
        ),
    },
    others=Plain(),
)

_DEVICES = Table("device", Text(r"^[^\s/]+$", "one word without a slash", 64), DEVICE)
_CONFIG = Table("config key", Text(r"^[A-Za-z0-9_.-]+$", "letters, digits, dots, hyphens and underscores"), Plain())

PROFILE = Record(
    {
        "devices": Key(
            _DEVICES,
            "Devices of the profile, by name; each has a `type` and the keys that Incus knows for it.",
            {"gpu": {"type": "gpu", "gputype": "physical"}},
            default={},
        ),
        "config": Key(_CONFIG, "Incus configuration keys of the profile.", {"nvidia.runtime": "true"}, default={}),
    }
)

STORAGE_VOLUME = Record(
    {
        "pool": Key(
            _WORD, "The storage pool that holds the volume.", "default", otherwise="that of the machine's root disk"
        ),
        "size": Key(Text(SIZE, 'a size like "20GiB"'), "The volume's quota.", "20GiB", otherwise="no quota"),
        "path": Key(_PATH, "Where the volume is mounted in the machine.", "/srv/models", required=True),
    }
)

PERSISTENT = Record(
    {
        "path": Key(_PATH, "Where the folder is mounted in the machine.", "/var/lib/speaches", required=True),
        "readonly": Key(
            Flag(), "Mount it read-only.", False, default=False, empty="it would be writable; write true or false"
        ),
    }
)

SOURCE = Text(rf"^(lan|any|{_IPV4}(/{_BITS})?)$", 'lan, any, or a network like "10.8.0.0/24"')

PUBLICATION = Record(
    {
        "port": Key(Whole(1, 65535), "The port of the host.", 8443, required=True),
        "to": Key(Whole(1, 65535), "The machine's port that it leads to.", 443, otherwise="the same"),
        "from": Key(
            Either((SOURCE, Listing(SOURCE, "nobody could come in; name lan, any or a network"))),
            "Who may come in: `lan`, the networks of the host's own interfaces; `any`; or networks.",
            "lan",
            empty="all of the local network could come in; name lan, any or a network",
            default="lan",
        ),
        "protocol": Key(Choice(("tcp", "udp")), "The protocol of the port.", "tcp", default="tcp"),
    }
)

MACHINE = Record(
    {
        "description": Key(Text(), _DESCRIPTION, "Speech to text", default=""),
        "type": Key(
            Choice(("lxc", "vm"), {"container": "lxc", "virtual-machine": "vm"}),
            "A container or a virtual machine.",
            "lxc",
            default="lxc",
        ),
        "ip": Key(
            _ADDRESS,
            "The machine's fixed IPv4 address, inside its domain's subnet. .254 is the gateway; .100 to .249 are "
            "handed out by DHCP and better avoided.",
            "10.100.3.10",
            otherwise="with `addressing` the next free one from .1 to .99, in the order of the file; otherwise by DHCP",
        ),
        "ephemeral": Key(
            Flag(), "May be deleted without asking; false protects it.", False, otherwise="that of the domain"
        ),
        "gpu": Key(Flag(), "Give the machine the host's GPU. See `gpu_policy`.", True, default=False),
        "target": Key(
            Text(r"^@?[A-Za-z0-9][A-Za-z0-9._-]*$", "the name of a member, or @ and that of a group"),
            "On a cluster of Incus: the member that the machine is on, or `@` and a group of them.",
            "node-2",
            default="",
            otherwise="Incus chooses when the machine is made",
        ),
        "profiles": Key(
            Listing(_WORD),
            "Incus profiles, applied in this order: `default` and those of the domain.",
            ["default", "nvidia-compute"],
            default=["default"],
        ),
        "config": Key(_CONFIG, "Incus configuration keys of the machine.", {"limits.memory": "8GiB"}, default={}),
        "devices": Key(
            _DEVICES,
            "Incus devices of the machine, by name.",
            {"cam": {"type": "unix-char", "path": "/dev/video0"}},
            default={},
        ),
        "os_image": Key(_WORD, "The image it is made from.", "images:debian/13", otherwise="`default_os_image`"),
        "storage_volumes": Key(
            Table("storage volume", _VOLUME_NAME, STORAGE_VOLUME),
            "Volumes of their own, made in a storage pool and mounted in the machine.",
            {"models": {"pool": "default", "size": "20GiB", "path": "/srv/models"}},
            default={},
        ),
        "roles": Key(
            Listing(Text(r"^[A-Za-z_][A-Za-z0-9_.-]*$", "the name of an Ansible role")),
            "Roles applied to the machine, in this order: those of this collection, roles in the project's `roles/`, "
            "or roles by their full name (`namespace.collection.role`). Each makes a group `role_<name>`.",
            ["base_system", "stt_server"],
            default=[],
        ),
        "publish": Key(
            Listing(
                Either(
                    (
                        Whole(1, 65535),
                        Text(rf"^{_PORT}(:{_PORT})?$", 'a port, or two like "8443:443"'),
                        PUBLICATION,
                    )
                )
            ),
            "Ports of the host's address in the local network that lead to the machine: a port, two like "
            '"8443:443" (the one of the host first), or the long form with `port`, `to`, `from` and `protocol`. The '
            "machine needs an `ip`.",
            [443, "8443:443", {"port": 8000, "from": "10.8.0.0/24"}],
            default=[],
            otherwise="nothing outside the host reaches the machine",
        ),
        "publish_name": Key(
            Text(r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", "lower-case letters, digits and inner hyphens", 63),
            "A name for what the machine publishes: the host announces it in the local network with Avahi, `voice` as "
            "`voice.local`.",
            "voice",
            default="",
            otherwise="the host's own names and addresses",
        ),
        "publish_without_key": Key(
            Flag(),
            "Publish a service too that asks nobody for a key or a password: an STT server without "
            "`stt_server_api_key`, Ollama. Whoever reaches the port can use it.",
            True,
            default=False,
        ),
        "weight": Key(Whole(1), "Its share under `resource_policy`.", 3, default=1),
        "boot_autostart": Key(Flag(), "Start it when the host starts.", True, otherwise="as Incus does"),
        "boot_priority": Key(Whole(0, 100), "Higher starts first.", 10, otherwise="0"),
        "snapshots_schedule": Key(
            Text(SCHEDULE, "five fields of a cron table (minute hour day month weekday), each in its range"),
            "When Incus takes snapshots by itself: minute, hour, day of the month, month, day of the week.",
            "0 2 * * *",
        ),
        "snapshots_expiry": Key(
            Text(r"^[0-9]+[dhm]$", "a number with d (days), h (hours) or m (minutes)"),
            "How long such a snapshot is kept: days (d), hours (h) or minutes (m).",
            "30d",
        ),
        "persistent_data": Key(
            Table("folder", _VOLUME_NAME, PERSISTENT),
            "Folders of the host that outlive the machine, "
            "`<persistent_data_base>/<domain>/<machine>/<name>` there; the device is `pd-<name>`.",
            {"models": {"path": "/var/lib/speaches"}},
            default={},
        ),
        "export_apps": Key(
            Listing(Text()), "Desktop programs that AnKLuMe shows on the host.", ["firefox"], acted=False
        ),
        "services": Key(Listing(Free()), "Services that AnKLuMe offers to other machines.", [], acted=False),
    }
)

DOMAIN = Record(
    {
        "description": Key(Text(), _DESCRIPTION, "Homelab with a GPU", default=""),
        "enabled": Key(
            Flag(),
            "false leaves the domain out: its machines are not in the inventory, its numbers stay reserved.",
            True,
            default=True,
        ),
        "subnet_id": Key(
            Whole(0, 254),
            "The third number of the domain's subnet; unique, with `addressing` unique per zone.",
            3,
            otherwise="required without `addressing`; with it the next free one, in alphabetical order",
        ),
        "remote": Key(
            Text(NAME, NAME_SAYS),
            "The Incus server that the domain is on, one of `global.remotes`.",
            "gpu-room",
            default="",
            otherwise="the Incus of the machine that apply runs on",
        ),
        "ephemeral": Key(
            Flag(), "Its machines may be deleted without asking; false protects them.", False, default=False
        ),
        "trust_level": Key(
            Choice(("admin", "trusted", "semi-trusted", "untrusted", "disposable")),
            "The zone; with `addressing` it decides the second number of the addresses.",
            "trusted",
            otherwise="semi-trusted",
        ),
        "ai_provider": Key(
            Choice(("local", "cloud", "local-first")),
            "Where AnKLuMe sends requests to language models.",
            "local",
            default="local",
            acted=False,
        ),
        "ai_sanitize": Key(
            Either((Flag(), Choice(("always",)))),
            "Whether AnKLuMe cleans such requests.",
            False,
            otherwise="false with `ai_provider: local`, otherwise true",
            acted=False,
        ),
        "file_portal": Key(
            Free(), "AnKLuMe's exchange of files between domains.", {"allowed_paths": ["/shared"]}, acted=False
        ),
        "desktop": Key(Free(), "AnKLuMe's desktop settings of the domain.", {"panel_color": "#2E7D32"}, acted=False),
        "profiles": Key(
            Table("profile", Text(r"^[^\s/]+$", "one word without a slash", 64), PROFILE),
            "Incus profiles that machines of the domain can name. `default` exists anyway and may be added to.",
            {"nvidia-compute": {"devices": {"gpu": {"type": "gpu", "gputype": "physical"}}}},
            default={},
        ),
        "machines": Key(
            Table(
                "machine",
                Text(
                    r"^(?![0-9]+$)[a-z0-9]([a-z0-9-]*[a-z0-9])?$",
                    NAME_SAYS + ", not a number",
                    63,
                    refused={
                        "all": "Ansible calls every machine so",
                        "localhost": "Ansible calls the machine it runs on so",
                        "ungrouped": "Ansible has a group of that name",
                    },
                ),
                MACHINE,
            ),
            "The machines, by name; a name may be used once in the whole project.",
            {"homelab-ai": {"type": "lxc", "ip": "10.100.3.10", "roles": ["base_system", "stt_server"]}},
            default={},
        ),
    }
)

_RESERVE_SAYS = 'a percentage like "20%"'

RESOURCE_POLICY = Record(
    {
        "host_reserve": Key(
            Record(
                {
                    "cpu": Key(
                        Either((Text(PERCENT, _RESERVE_SAYS), Number())),
                        "Kept for the host: a percentage, or a number of cores.",
                        "20%",
                        default="20%",
                    ),
                    "memory": Key(
                        Either(
                            (
                                Text(f"^(?:{PERCENT[1:-1]}|{SIZE[1:-1]})$", _RESERVE_SAYS + ' or a size like "4GiB"'),
                                Whole(1_000_000),
                            )
                        ),
                        "Kept for the host: a percentage, a size, or a number of bytes.",
                        "4GiB",
                        default="20%",
                    ),
                }
            ),
            "What the host keeps for itself.",
            {"cpu": "20%", "memory": "4GiB"},
            default={},
        ),
        "mode": Key(Choice(("proportional", "equal")), "Share by `weight`, or alike.", "equal", default="proportional"),
        "cpu_mode": Key(
            Choice(("allowance", "count")), "A percentage of CPU time, or whole cores.", "count", default="allowance"
        ),
        "memory_enforce": Key(
            Choice(("soft", "hard")),
            "Whether a machine may exceed its memory while there is some left.",
            "hard",
            default="soft",
        ),
        "overcommit": Key(Flag(), "Allow the sum to exceed what the host has.", True, default=False),
    }
)

ADDRESSING = Record(
    {
        "base_octet": Key(Whole(10, 10), "The first number; always 10.", 10, default=10),
        "zone_base": Key(Whole(0, 245), "The second number of zone `admin`.", 100, default=100),
        "zone_step": Key(
            Whole(1), "Accepted for AnKLuMe, which does not use it: the zones' offsets are fixed.", 10, default=10
        ),
    }
)

LAN = Record(
    {
        "networks": Key(
            Listing(Text(rf"^{_IPV4}/{_BITS}$", 'a network like "192.168.1.0/24"'), "name one, or remove the line"),
            "Its networks.",
            ["192.168.1.0/24"],
            default=[],
            otherwise="those that the addresses lie in",
        ),
        "addresses": Key(
            Listing(_ADDRESS, "name one, or remove the line"),
            "The addresses of the host at which `publish` opens ports.",
            ["192.168.1.5"],
            default=[],
            otherwise="those that the host has in the networks",
        ),
    }
)

_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
_IPV6 = r"[0-9A-Fa-f:]*:[0-9A-Fa-f:]+"
_AT = Text(
    rf"^(?:{_HOST}(?::{_PORT})?|{_IPV6}|\[{_IPV6}\](?::{_PORT})?)$",
    'an address like "192.168.1.20" or "192.168.1.20:8443"',
)

REMOTE = Record(
    {
        "address": Key(
            Either((_AT, Listing(_AT, "name one"))),
            "Where its Incus listens, port 8443 where none is said; several addresses are tried in turn.",
            "192.168.1.20",
            required=True,
        ),
    }
)

GLOBAL = Record(
    {
        "base_subnet": Key(
            Text(
                r"^(?:[1-9]|[1-9][0-9]|1[0-9][0-9]|2[01][0-9]|22[0-3])\."
                r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])$",
                'two numbers like "10.100", in quotes',
            ),
            "The first two numbers of every address: a domain's subnet is `<base_subnet>.<subnet_id>.0/24`.",
            "10.100",
            default="10.100",
        ),
        "addressing": Key(
            ADDRESSING,
            "Zones instead of `base_subnet`: subnets are `10.<zone_base + offset>.<number>.0/24`, the offset by trust "
            "level (admin 0, trusted 10, semi-trusted 20, untrusted 40, disposable 50), and machines are numbered.",
            {"base_octet": 10, "zone_base": 100, "zone_step": 10},
        ),
        "lan": Key(
            LAN,
            "What `lan` means in `publish` and `network_policies`, where it is not the networks (private ones) and "
            "addresses of the host's interfaces that have a default route.",
            {"networks": ["192.168.1.0/24"], "addresses": ["192.168.1.5"]},
            default={},
            otherwise="looked up on the host by every plan and apply",
        ),
        "remotes": Key(
            Table(
                "remote",
                Text(
                    NAME,
                    NAME_SAYS,
                    refused={
                        "local": "the `incus` client calls the Incus of its own machine so",
                        "images": "the `incus` client calls the public image server so",
                    },
                ),
                REMOTE,
            ),
            "Incus servers on other machines, by name; `make remote-add` has one trust this project. A domain is on one"
            " by its `remote`.",
            {"gpu-room": {"address": "192.168.1.20"}},
            default={},
        ),
        "default_os_image": Key(
            _WORD, "The image of machines without `os_image`.", "images:debian/13", default="images:debian/13"
        ),
        "default_connection": Key(
            Text(),
            "Written to the variable `psot_default_connection`; machines are reached through Incus anyway.",
            "community.general.incus",
        ),
        "default_user": Key(Text(), "Written to the variable `psot_default_user`.", "root"),
        "gpu_policy": Key(
            Choice(("exclusive", "shared")),
            "exclusive: one machine at most has the GPU. shared: several may; their memory is not kept apart.",
            "exclusive",
            default="exclusive",
        ),
        "firewall_mode": Key(
            Choice(("host", "vm")),
            "vm adds a firewall machine at .253: `anklume-firewall` in domain `anklume`, or `sys-firewall` in domain "
            "`admin`, unless one is declared.",
            "host",
            default="host",
        ),
        "resource_policy": Key(
            Either((Flag(only=True), RESOURCE_POLICY)),
            "How CPU and memory are shared out; `true` takes the defaults below.",
            True,
            otherwise="machines are not limited",
        ),
        "shared_volumes_base": Key(
            _PATH,
            "Where shared volumes without `source` lie on the host.",
            "/srv/anklume/shares",
            default="/srv/anklume/shares",
        ),
        "persistent_data_base": Key(
            _PATH, "Where persistent data lies on the host.", "/srv/anklume/data", default="/srv/anklume/data"
        ),
        "ai_access_policy": Key(
            Choice(("open", "exclusive")),
            "exclusive: one domain at a time reaches domain `ai-tools`; a policy from `ai_access_default` is added "
            "when none is there.",
            "open",
            default="open",
        ),
        "ai_access_default": Key(Text(NAME, NAME_SAYS), "That domain; required with exclusive.", "pro"),
        "ai_vram_flush": Key(Flag(), "Whether AnKLuMe empties the GPU when access changes.", True, acted=False),
        "nesting_prefix": Key(
            Flag(),
            "Whether AnKLuMe prefixes names when it runs inside itself; names are never changed here.",
            False,
            acted=False,
        ),
        "desktop": Key(Free(), "AnKLuMe's desktop settings.", {"engine": "kde"}, acted=False),
    }
)

PORT = Either(
    (
        Whole(1, 65535),
        Text(r"^[1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?$", 'a port or a range like "8000-8010"'),
    )
)

_END = Text(NAME, "a domain, a machine, host, lan or internet")

POLICY = Record(
    {
        "description": Key(Text(), "Free text for people.", "The office reaches the STT server", default=""),
        "from": Key(
            _END,
            "Who may open connections: a domain, a machine, `host`, `lan` (the networks of the host's own interfaces, "
            "see `global.lan`) or `internet` (all but private networks).",
            "office",
            required=True,
        ),
        "to": Key(
            _END,
            "To whom: a domain, a machine, `host`, `lan` or `internet`. One side is a domain or a machine.",
            "homelab-ai",
            required=True,
        ),
        "ports": Key(
            Either((Listing(PORT, "no port would be open; name one, or write all"), Choice(("all",)))),
            "The ports, or `all`.",
            [8000],
            default="all",
            empty="every port would be open; name one, or write all",
        ),
        "protocol": Key(
            Choice(("tcp", "udp")),
            "The protocol of the ports; without `ports`, every port of this protocol and no other.",
            "tcp",
            otherwise="tcp with a list of ports, every protocol without",
            empty="write tcp or udp, or remove the line",
        ),
        "bidirectional": Key(Flag(), "The same in the other direction too.", False, default=False),
    }
)

SHARED_VOLUME = Record(
    {
        "source": Key(
            _PATH, "The folder on the host.", "/srv/anklume/shares/docs", otherwise="`<shared_volumes_base>/<name>`"
        ),
        "path": Key(_PATH, "Where it is mounted in the machines.", "/shared/docs", otherwise="`/shared/<name>`"),
        "shift": Key(Flag(), "Map owners, so that containers can use the files.", True, default=True),
        "propagate": Key(
            Flag(),
            "Mount it read-only in every machine with `security.nesting: true` too, for the instances inside it; "
            "`host_vars` show it there.",
            False,
            default=False,
        ),
        "consumers": Key(
            Table("consumer", Text(NAME, NAME_SAYS), Choice(("ro", "rw")), filled=True),
            "Who gets it, read-only or read-write: domains (all their machines) and machines (which win over their "
            "domain). The device is `sv-<name>`.",
            {"office": "ro", "homelab-ai": "rw"},
            default={},
            required=True,
        ),
    }
)

DOMAINS = Table(
    "domain",
    Text(
        NAME,
        NAME_SAYS,
        11,
        because="the bridge net-<name> has at most 15",
        refused={
            "all": "Ansible calls every machine so",
            "ungrouped": "Ansible has a group of that name",
            "localhost": "Ansible calls the machine it runs on so",
            "default": "the Incus project `default` is Incus's own",
        },
    ),
    DOMAIN,
)

NETWORK_POLICIES = Key(
    Listing(POLICY),
    "Which flows between domains are allowed; all others are not.",
    [{"from": "office", "to": "homelab-ai", "ports": [8000]}],
    default=[],
)

ROOT = Record(
    {
        "project_name": Key(
            Text(
                r"^[A-Za-z0-9]([A-Za-z0-9 ._-]*[A-Za-z0-9])?$",
                "letters of a to z, digits, and between them spaces, dots, hyphens and underscores",
                63,
            ),
            "The project's name.",
            "my-infra",
            otherwise="the name of the folder",
        ),
        "global": Key(GLOBAL, "Settings of the whole project.", {"base_subnet": "10.100"}, default={}),
        "domains": Key(
            DOMAINS,
            "The domains, by name: each is a network, an Incus project and a group of machines. A name has at most 11 "
            "characters, because the bridge `net-<name>` has at most 15.",
            {"homelab": {"subnet_id": 3, "machines": {}}},
            default={},
            required=True,
        ),
        "network_policies": NETWORK_POLICIES,
        "shared_volumes": Key(
            Table("shared volume", _VOLUME_NAME, SHARED_VOLUME),
            "Folders of the host that several machines mount.",
            {"docs": {"consumers": {"office": "rw"}}},
            default={},
        ),
    },
    notes=True,
)
"""infra.yml, and infra/base.yml (where `domains` may be missing)."""

BASE = Record({name: replace(key, required=False) for name, key in ROOT.keys.items()}, notes=True)
"""infra/base.yml."""

POLICIES = Record({"network_policies": NETWORK_POLICIES}, notes=True)
"""infra/policies.yml."""
