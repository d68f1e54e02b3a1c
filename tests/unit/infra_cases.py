# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files with one fault each, and files that are right: fed to the checks and to the JSON schema alike."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent

HERE = "⟦"
"""Stands before the place that a diagnostic has to name."""


@dataclass(frozen=True)
class Case:
    """A file with a fault. `meaning` is True for what no JSON schema can see: names, addresses, duplicates."""

    name: str
    marked: str
    says: str
    hint: str = ""
    meaning: bool = False

    @property
    def text(self) -> str:
        return dedent(self.marked).replace(HERE, "")

    @property
    def place(self) -> tuple[int, int]:
        """Line and column of the fault, from 1."""
        before = dedent(self.marked).split(HERE)[0].split("\n")
        return len(before), len(before[-1]) + 1


def machine(lines: str) -> str:
    """A project whose only machine has these lines."""
    inner = "\n".join(f"        {line}" for line in lines.split("\n"))
    return f"domains:\n  lab:\n    subnet_id: 3\n    machines:\n      one:\n{inner}\n"


def domain(lines: str) -> str:
    """A project whose only domain has these lines."""
    inner = "\n".join(f"    {line}" for line in lines.split("\n"))
    return f"domains:\n  lab:\n{inner}\n"


def settings(lines: str) -> str:
    """A project with these lines under `global`."""
    inner = "\n".join(f"  {line}" for line in lines.split("\n"))
    return f"global:\n{inner}\ndomains:\n  lab:\n    subnet_id: 3\n"


def policy(lines: str) -> str:
    """Two domains and one policy with these lines."""
    first, *rest = lines.split("\n")
    inner = "\n".join([f"  - {first}", *(f"    {line}" for line in rest)])
    return f"""domains:
  pro:
    subnet_id: 1
    machines:
      pro-dev:
        ip: "10.100.1.10"
      pro-lease: {{}}
  tools:
    subnet_id: 2
network_policies:
{inner}
"""


def published(entries: str, lines: str = "") -> str:
    """A project whose only machine publishes these entries."""
    return machine(f'ip: "10.100.3.1"\npublish: [{entries}]' + (f"\n{lines}" if lines else ""))


def two(first: str, second: str) -> str:
    """Two machines in two domains, each with its lines."""
    return (
        f"domains:\n  a:\n    subnet_id: 1\n    machines:\n      m1: {first}\n"
        f"  b:\n    subnet_id: 2\n    machines:\n      m2: {second}\n"
    )


def servers(here: str, there: str, lines: str = "") -> str:
    """A domain on this machine and one on another server, each with its machine."""
    return (
        'global: {remotes: {gpu-room: {address: "192.168.1.20"}}}\ndomains:\n'
        f"  here:\n    subnet_id: 1\n    machines:\n      web: {here}\n"
        f"  there:\n    subnet_id: 2\n    remote: gpu-room\n    machines:\n      ai: {there}\n" + lines
    )


def members(first: str, second: str) -> str:
    """Two machines of one domain, each with its lines."""
    return f"domains:\n  lab:\n    subnet_id: 3\n    machines:\n      m1: {first}\n      m2: {second}\n"


BOTH = "[stt_server, ollama_server]"

FORM = [
    Case(
        "an address of a remote with a scheme",
        settings("remotes: {gpu: {address: ⟦https://gpu}}"),
        'must be an address like "192.168.1.20"',
    ),
    Case("a remote of a name of the client", settings("remotes: {⟦local: {address: gpu}}"), "the `incus` client calls"),
    Case("a target with a colon", machine("target: ⟦a:b"), "the name of a member, or @ and that of a group"),
    Case("a remote without an address", settings("remotes: {gpu: ⟦{}}"), "has no address"),
    Case("misspelled key of a machine", machine("⟦rols: [base_system]"), 'unknown key "rols"', "did you mean roles?"),
    Case(
        "misspelled key of a domain",
        domain("subnet_id: 3\n⟦machine: {}"),
        'unknown key "machine"',
        "did you mean machines?",
    ),
    Case("a list for the settings", "global: ⟦[]\ndomains: {}\n", "must be a mapping"),
    Case("misspelled key at the top", "⟦domain: {}\ndomains: {}\n", 'unknown key "domain"', "did you mean domains?"),
    Case(
        "hyphen for underscore",
        domain("⟦subnet-id: 3\nsubnet_id: 3"),
        'unknown key "subnet-id"',
        "did you mean subnet_id?",
    ),
    Case("unknown key without a neighbour", machine("⟦zzz: 1"), 'unknown key "zzz"', "allowed: boot_autostart"),
    Case("boolean for a number", domain("subnet_id: ⟦true"), "true is a boolean; must be a whole number from 0 to 254"),
    Case("number in quotes", domain('subnet_id: ⟦"3"'), '"3" in quotes is text', "write 3"),
    Case("number out of range", domain("subnet_id: ⟦255"), "must be a whole number from 0 to 254, not 255"),
    Case("negative number", domain("subnet_id: ⟦-1"), "must be a whole number from 0 to 254, not -1"),
    Case("decimal for a whole number", domain("subnet_id: ⟦3.5"), "3.5 is a number; must be a whole number"),
    Case(
        "subnet without quotes",
        settings("base_subnet: ⟦10.100"),
        "10.100 without quotes is the number 10.1",
        'write "10.100"',
    ),
    Case("subnet of three numbers", settings('base_subnet: ⟦"10.100.0"'), 'two numbers like "10.100"'),
    Case("subnet out of range", settings('base_subnet: ⟦"10.300"'), 'two numbers like "10.100"'),
    Case("address out of range", machine('ip: ⟦"10.100.3.999"'), "four numbers from 0 to 255"),
    Case("address with a mask", machine('ip: ⟦"10.100.3.10/24"'), "four numbers from 0 to 255"),
    Case("address with a word", machine('ip: ⟦"10.100.3.foo"'), "four numbers from 0 to 255"),
    Case("address with zeros before", machine('ip: ⟦"10.100.3.010"'), "four numbers from 0 to 255"),
    Case("address as a list", machine('ip: ["10.100.3.10"]').replace("ip: [", "ip: ⟦["), "must be four numbers"),
    Case("boolean for a text", machine("description: ⟦yes"), "yes without quotes is a boolean", 'write "yes"'),
    Case("boolean in quotes", machine('gpu: ⟦"true"'), '"true" in quotes is text', "write true"),
    Case("word for a boolean", machine("gpu: ⟦nvidia"), 'must be true or false, not "nvidia"'),
    Case("unknown word", machine("type: ⟦lcx"), "must be one of lxc, vm", "did you mean lxc?"),
    Case(
        "unknown policy for the GPU",
        settings("gpu_policy: ⟦share"),
        "must be one of exclusive, shared",
        "did you mean shared?",
    ),
    Case(
        "unknown trust level",
        domain("subnet_id: 3\ntrust_level: ⟦semi_trusted"),
        "must be one of",
        "did you mean semi-trusted?",
    ),
    Case("a name with a dot", machine("publish_name: ⟦voice.local"), "must be lower-case letters, digits and inner"),
    Case("roles as a text", machine("roles: ⟦base_system"), "must be a list"),
    Case(
        "a role that is no name", machine("roles: [base_system, ⟦'stt server']"), "must be the name of an Ansible role"
    ),
    Case("a role that is empty", machine("roles:\n  - base_system\n  - ⟦~"), "is empty"),
    Case("machines as a list", domain("subnet_id: 3\nmachines:\n  ⟦- one"), "must be a mapping, not a list"),
    Case("empty machine", domain("subnet_id: 3\nmachines:\n  ⟦one:"), "the machine is empty", "one: {}"),
    Case("empty domain", "domains:\n  ⟦lab:\n", "the domain is empty", "lab: {}"),
    Case("empty profile", domain("subnet_id: 3\nprofiles:\n  ⟦gpu:"), "the profile is empty"),
    Case("domains without a value", "⟦domains:\n", "is empty; must be a mapping", "write domains: {}"),
    Case("no domains", "⟦project_name: x\n", "has no domains"),
    Case("not a mapping", "⟦- domains\n", "must be a mapping"),
    Case("just a word", "⟦domains\n", "must be a mapping"),
    Case(
        "domain with capitals",
        "domains:\n  ⟦Lab:\n    subnet_id: 3\n",
        "must be lower-case letters, digits and inner hyphens",
    ),
    Case("domain with an underscore", "domains:\n  ⟦my_lab:\n    subnet_id: 3\n", "must be lower-case letters"),
    Case("domain that ends in a hyphen", "domains:\n  ⟦lab-:\n    subnet_id: 3\n", "must be lower-case letters"),
    Case("bridge name too long", "domains:\n  ⟦corp-sandbox:\n    subnet_id: 3\n", "has 12 characters; at most 11"),
    Case("domain named all", "domains:\n  ⟦all:\n    subnet_id: 3\n", '"all" cannot be used'),
    Case("domain named default", "domains:\n  ⟦default:\n    subnet_id: 3\n", '"default" cannot be used'),
    Case("machine named localhost", domain("subnet_id: 3\nmachines:\n  ⟦localhost: {}"), '"localhost" cannot be used'),
    Case("machine that is a number", domain('subnet_id: 3\nmachines:\n  ⟦"12": {}'), "not a number"),
    Case("machine with a dot", domain("subnet_id: 3\nmachines:\n  ⟦a.b: {}"), "must be lower-case letters"),
    Case(
        "machine of 64 letters",
        domain(f"subnet_id: 3\nmachines:\n  ⟦{'a' * 64}: {{}}"),
        "has 64 characters; at most 63",
    ),
    Case("device without a type", machine("devices:\n  gpu:\n    ⟦gputype: physical"), "has no type"),
    Case(
        "device of an unknown type",
        machine("devices:\n  gpu:\n    type: ⟦gpus"),
        "must be one of disk, gpu",
        "did you mean gpu?",
    ),
    Case("config as a list", machine("config:\n  ⟦- limits.cpu"), "must be a mapping, not a list"),
    Case(
        "config with a list inside",
        machine("config:\n  limits.cpu: ⟦[1]"),
        "must be a text, number or boolean, not a list",
    ),
    Case("config without a value", machine("config:\n  ⟦limits.cpu:"), "is empty", 'write ""'),
    Case("volume without a path", machine("storage_volumes:\n  data:\n    ⟦size: 1GiB"), "has no path"),
    Case(
        "volume with a relative path", machine("storage_volumes:\n  data:\n    path: ⟦srv"), "must be an absolute path"
    ),
    Case(
        "volume with a strange size",
        machine("storage_volumes:\n  data:\n    path: /srv\n    size: ⟦20 gigs"),
        'a size like "20GiB"',
    ),
    Case("weight of zero", machine("weight: ⟦0"), "must be a whole number, 1 or more"),
    Case("boot priority too high", machine("boot_priority: ⟦101"), "from 0 to 100"),
    Case("schedule of four fields", machine('snapshots_schedule: ⟦"0 2 * *"'), "five fields"),
    Case("schedule at a minute that is none", machine('snapshots_schedule: ⟦"99 99 * * *"'), "each in its range"),
    Case("schedule on an eighth day", machine('snapshots_schedule: ⟦"0 2 * * 7"'), "each in its range"),
    Case("schedule by name", machine('snapshots_schedule: ⟦"@daily"'), "five fields"),
    Case("expiry in weeks", machine("snapshots_expiry: ⟦4w"), "d (days), h (hours) or m (minutes)"),
    Case("persistent data without a path", machine("persistent_data:\n  models:\n    ⟦readonly: true"), "has no path"),
    Case("apps as a text", machine("export_apps: ⟦firefox"), "must be a list"),
    Case("zone out of range", settings("addressing:\n  zone_base: ⟦246"), "from 0 to 245"),
    Case("first number not 10", settings("addressing:\n  base_octet: ⟦172"), "must be 10"),
    Case("addressing as a word", settings("addressing: ⟦zones"), 'must be a mapping, not "zones"'),
    Case(
        "resource policy switched off",
        settings("resource_policy: ⟦false"),
        "must be true; to switch it off, remove the line",
    ),
    Case("resource policy as a word", settings("resource_policy: ⟦equal"), "must be true, or a mapping"),
    Case("reserve of everything", settings('resource_policy:\n  host_reserve:\n    cpu: ⟦"100%"'), "a percentage like"),
    Case(
        "reserve below zero",
        settings("resource_policy:\n  host_reserve:\n    memory: ⟦-1"),
        "a whole number, 1000000 or more",
    ),
    Case("relative base folder", settings("persistent_data_base: ⟦srv/data"), "must be an absolute path"),
    Case("sanitize sometimes", domain("subnet_id: 3\nai_sanitize: ⟦sometimes"), "must be true or false, or always"),
    Case("policy without a target", policy("⟦from: pro"), "has no to"),
    Case("policy that is a word", policy("⟦everything"), "must be a mapping"),
    Case("policies as a mapping", "domains: {}\nnetwork_policies:\n  ⟦from: a\n", "must be a list"),
    Case("port zero", policy("from: pro\nto: tools\nports: [⟦0]"), "from 1 to 65535"),
    Case("port as a word", policy("from: pro\nto: tools\nports: [⟦http]"), 'a port or a range like "8000-8010"'),
    Case("ports as a number", policy("from: pro\nto: tools\nports: ⟦8000"), "must be a list, or all"),
    Case("unknown protocol", policy("from: pro\nto: tools\nprotocol: ⟦icmp"), "must be one of tcp, udp"),
    Case("bidirectional as text", policy('from: pro\nto: tools\nbidirectional: ⟦"yes"'), '"yes" in quotes is text'),
    Case("volume for nobody", "domains: {}\nshared_volumes:\n  docs:\n    consumers: ⟦{}\n", "names no consumer"),
    Case("volume without consumers", "domains: {}\nshared_volumes:\n  docs:\n    ⟦path: /docs\n", "has no consumers"),
    Case(
        "access of another kind",
        "domains: {}\nshared_volumes:\n  docs:\n    consumers:\n      lab: ⟦rx\n",
        "must be one of ro, rw",
    ),
    Case("published port zero", published("⟦0"), "from 1 to 65535"),
    Case("one published port without a list", published("").replace("[]", "⟦443"), "must be a list"),
    Case("published port beyond the last", published('⟦"65536:443"'), 'a port, or two like "8443:443"'),
    Case(
        "two ports that YAML takes for one number",
        published("⟦2222:22"),
        "2222:22 without quotes is the number 133342, base 60",
        'write "2222:22"',
    ),
    Case("published to a port only", published("⟦{to: 443}"), "has no port"),
    Case(
        "one port without brackets", policy("from: pro\nto: tools\nports: ⟦22"), "must be a list, or all", "write [22]"
    ),
    Case("one role without brackets", machine("roles: ⟦stt_server"), "must be a list", "write [stt_server]"),
    Case(
        "no space after a dash", machine("roles:\n  ⟦-stt_server"), "must be a list", "space is missing after the dash"
    ),
    Case("no space after a colon", "domains:\n  lab:\n    ⟦subnet_id:3\n", "must be a mapping", "after the colon"),
    Case("machines as a list", domain("subnet_id: 3\nmachines:\n  ⟦- one"), "not a list", "each machine by its name"),
    Case("a switch as a number", machine("gpu: ⟦1"), "must be true or false", "write true"),
    Case("a word of Incus for the type", machine("type: ⟦container"), "one of lxc, vm", "did you mean lxc?"),
    Case(
        "an underscore in a machine",
        domain("subnet_id: 3\nmachines:\n  ⟦my_ai: {}"),
        "name of a machine",
        'write "my-ai"',
    ),
    Case("an address with its network", machine("ip: ⟦10.100.3.4/24"), "four numbers", 'write "10.100.3.4"'),
    Case("quotes of books", machine("ip: ⟦\u201c10.100.3.4\u201d"), "four numbers", 'write "10.100.3.4"'),
    Case(
        "a size with a space", machine("storage_volumes: {a: {path: /x, size: ⟦20 gb}}"), "a size like", 'write "20GB"'
    ),
    Case(
        "a size without a unit", machine("storage_volumes: {a: {path: /x, size: ⟦20}}"), "a size like", 'write "20GiB"'
    ),
    Case(
        "a text without a unit",
        machine('storage_volumes: {a: {path: /x, size: ⟦"20"}}'),
        "a size like",
        'write "20GiB"',
    ),
    Case("bytes for the host", settings("resource_policy: {host_reserve: {memory: ⟦4}}"), "1000000 or more"),
    Case(
        "a percentage with something behind it",
        settings("resource_policy: {host_reserve: {memory: ⟦20%x}}"),
        'a percentage like "20%" or a size',
    ),
    Case(
        "a time for snapshots in a word", machine('snapshots_schedule: ⟦"@daily"'), "five fields", 'write "0 0 * * *"'
    ),
    Case("days without their d", machine("snapshots_expiry: ⟦30"), "a number with d", 'write "30d"'),
    Case("an expression of Ansible", machine('ip: ⟦"{{ x }}"'), "four numbers", "belong in host_vars/"),
    Case(
        "a list that goes on in the next line",
        machine("roles:\n  - ⟦stt_server\n   - base_system"),
        "the name of an Ansible role",
        "is that line indented too far?",
    ),
    Case(
        "variables of a role in a machine",
        machine("⟦stt_server_model: base"),
        'unknown key "stt_server_model"',
        "variables belong in host_vars/one.yml",
    ),
    Case(
        "a key of a machine in a domain", domain("subnet_id: 3\n⟦gpu: true"), "unknown key", "gpu is a key of a machine"
    ),
    Case(
        "machines beside their domain",
        "domains:\n  lab:\n    subnet_id: 3\n  machines:\n    subnet_id: 4\n    ⟦one: {}\n",
        'unknown key "one"',
        "machines has become a name here",
    ),
    Case("a place for anchors too deep", machine("⟦x-note: hi"), "unknown key", "at the top of the file"),
    Case(
        "both sides of a policy are wild", policy('from: ⟦"*"\nto: tools'), "a domain, a machine, host, lan or internet"
    ),
    Case("a number without an end", domain("subnet_id: ⟦.inf"), ".inf is a number; must be a whole number"),
    Case("a number that is none", domain("subnet_id: ⟦.nan"), ".nan is a number; must be a whole number"),
    Case("ports without a value open none", policy("from: pro\nto: tools\n⟦ports:"), "every port would be open"),
    Case("a protocol without a value", policy("from: pro\nto: tools\nports: [1]\n⟦protocol:"), "write tcp or udp"),
    Case(
        "nobody named for a published port", published("{port: 443, ⟦from: }"), "all of the local network could come in"
    ),
    Case(
        "read-only or not",
        machine("persistent_data:\n  models:\n    path: /m\n    ⟦readonly:"),
        "it would be writable",
    ),
    Case("an empty list of ports opens none", policy("from: pro\nto: tools\nports: ⟦[]"), "no port would be open"),
    Case("published for an empty list", published("{port: 443, from: ⟦[]}"), "nobody could come in"),
    Case("lan of an empty list of networks", settings("lan: {networks: ⟦[]}"), "is an empty list: name one"),
    Case("lan of an empty list of addresses", settings("lan: {addresses: ⟦[]}"), "is an empty list: name one"),
    Case(
        "text that quotes alone do not mend", settings("base_subnet: ⟦10"), "10 is the number 10; must be two numbers"
    ),
    Case("expiry without its unit", machine("snapshots_expiry: ⟦30"), "30 is the number 30; must be a number with d"),
    Case("number that begins with a zero", domain("subnet_id: ⟦08"), "08 begins with a zero", "write 8"),
    Case("published for a word", published("{port: 443, from: ⟦wan}"), 'lan, any, or a network like "10.8.0.0/24"'),
    Case("published by another protocol", published("{port: 443, protocol: ⟦sctp}"), "must be one of tcp, udp"),
    Case("lan as a word", settings("lan: ⟦eth0"), "must be a mapping"),
    Case("lan of an address", settings("lan: {networks: [⟦192.168.1.5]}"), 'a network like "192.168.1.0/24"'),
    Case("alias that contains itself", "domains: &a\n  lab: {subnet_id: 1}\n  x: ⟦*a\n", "*a contains itself"),
]

MEANING = [
    Case("key twice", machine("type: lxc\n⟦type: vm"), 'the key "type" is here twice; the first is at line 6'),
    Case("machine twice", domain("subnet_id: 3\nmachines:\n  one: {}\n  ⟦one: {}"), "is here twice"),
    Case("domain twice", "domains:\n  a: {subnet_id: 1}\n  ⟦a: {subnet_id: 2}\n", "is here twice"),
    Case("machine in two domains", two("{}", "{}").replace("m2", "⟦m1"), '"m1" is also in domain a, line 5'),
    Case("no subnet_id", "domains:\n  ⟦lab:\n    machines: {}\n", "has no subnet_id", "1 is free"),
    Case(
        "subnet_id twice",
        "domains:\n  a: {subnet_id: 1}\n  b: {subnet_id: ⟦1}\n",
        "already the subnet_id of domain a, line 2",
    ),
    Case(
        "subnet_id twice in a zone",
        "global: {addressing: {}}\ndomains:\n  a: {subnet_id: 1}\n  b: {subnet_id: ⟦1}\n",
        "already the subnet_id of domain a in zone semi-trusted",
    ),
    Case(
        "zone beyond 255",
        "global: {addressing: {zone_base: 245}}\ndomains:\n  ⟦a: {trust_level: disposable}\n",
        "255 is the highest number",
        "205 or less",
    ),
    Case("gateway", machine('ip: ⟦"10.100.3.254"'), "10.100.3.254 is the gateway of the domain"),
    Case("network address", machine('ip: ⟦"10.100.3.0"'), "is the network address"),
    Case("broadcast address", machine('ip: ⟦"10.100.3.255"'), "is the broadcast address"),
    Case(
        "outside the subnet", machine('ip: ⟦"10.100.4.10"'), "outside the domain's subnet 10.100.3.0/24", "10.100.3.10"
    ),
    Case(
        "outside the subnet, with the number of a gateway",
        domain('subnet_id: 3\nmachines:\n  a: {ip: "10.100.3.1"}\n  b: {ip: ⟦"10.100.4.254"}'),
        "outside the domain's subnet",
        "like 10.100.3.2",
    ),
    Case(
        "one port of three machines",
        domain(
            'subnet_id: 3\nmachines:\n  a: {ip: "10.100.3.1", publish: [80, 8080]}\n'
            '  b: {ip: "10.100.3.2", publish: [⟦80]}'
        ),
        "port 80 of the host is already published: machine a, line 5",
        'like "8081:80"',
    ),
    Case(
        "no subnet_id left",
        "domains:\n" + "".join(f"  d{n}: {{subnet_id: {n}}}\n" for n in range(255)) + "  ⟦more: {machines: {}}\n",
        "has no subnet_id",
        "all are taken",
    ),
    Case(
        "outside the zone",
        'global: {addressing: {}}\ndomains:\n  a: {machines: {one: {ip: ⟦"10.100.0.1"}}}\n',
        "outside the domain's subnet 10.120.0.0/24",
    ),
    Case(
        "address twice",
        domain('subnet_id: 3\nmachines:\n  one: {ip: "10.100.3.1"}\n  two: {ip: ⟦"10.100.3.1"}'),
        "already the address of one, line 5",
    ),
    Case(
        "unknown profile",
        machine("profiles: [default, ⟦gpu]"),
        'domain lab has no profile "gpu"',
        "known here: default",
    ),
    Case(
        "misspelled profile",
        domain("subnet_id: 3\nprofiles: {nvidia: {}}\nmachines: {one: {profiles: [⟦nvida]}}"),
        'no profile "nvida"',
        "did you mean nvidia?",
    ),
    Case("two with gpu: true", two("{gpu: true}", "{gpu: ⟦true}"), "2 machines have the GPU (m1, m2)"),
    Case(
        "GPU under devices counts",
        two("{gpu: true}", "{⟦devices: {card: {type: gpu}}}"),
        "2 machines have the GPU (m1, m2)",
        "gpu_policy: shared",
    ),
    Case(
        "GPU in a profile counts",
        two("{gpu: true}", "{⟦profiles: [g]}").replace(
            "  b:\n", "  b:\n    profiles: {g: {devices: {x: {type: gpu}}}}\n"
        ),
        "2 machines have the GPU (m1, m2)",
    ),
    Case(
        "GPU in the default profile counts",
        "domains:\n  a:\n    subnet_id: 1\n    profiles: {default: {devices: {x: {type: gpu}}}}\n"
        "    machines:\n      m1: {}\n      ⟦m2: {}\n",
        "2 machines have the GPU (m1, m2)",
    ),
    Case("policy from nowhere", policy("from: ⟦pr\nto: tools"), 'no domain or machine "pr"', "did you mean pro?"),
    Case("policy to nowhere", policy("from: pro\nto: ⟦hots"), 'no domain or machine "hots"', "did you mean host?"),
    Case("policy to a leased address", policy("from: tools\nto: ⟦pro-lease"), "has no fixed address"),
    Case(
        "ports the wrong way round", policy('from: pro\nto: tools\nports: [⟦"90-80"]'), "90-80 is not a range of ports"
    ),
    Case("port beyond the last", policy('from: pro\nto: tools\nports: [⟦"70000"]'), "70000 is not a range of ports"),
    Case(
        "volume for a stranger",
        "domains: {lab: {subnet_id: 1}}\nshared_volumes:\n  docs:\n    consumers:\n      ⟦lap: ro\n",
        'no domain or machine "lap"',
        "did you mean lab?",
    ),
    Case(
        "two volumes at one place",
        "domains: {lab: {subnet_id: 1, machines: {m: {}}}}\nshared_volumes:\n"
        "  a: {path: /x, consumers: {lab: ro}}\n  b: {path: ⟦/x/, consumers: {m: ro}}\n",
        "/x of m is already the place of shared volume a",
    ),
    Case(
        "data and a volume at one place",
        machine("storage_volumes: {a: {path: /x}}\npersistent_data: {b: {path: ⟦/x}}"),
        "/x of one is already the place of storage volume a",
    ),
    Case(
        "device and data at one place",
        machine("devices: {d: {type: disk, source: /s, path: /x}}\npersistent_data: {b: {path: ⟦/x}}"),
        "already the place of device d",
    ),
    Case(
        "profile and data at one place",
        domain(
            "subnet_id: 3\nprofiles: {p: {devices: {d: {type: disk, source: /s, path: /x}}}}\n"
            "machines: {one: {⟦profiles: [p], persistent_data: {b: {path: /x}}}}"
        ),
        "/x of one is already the place of persistent data b",
    ),
    Case("data at the root", machine("persistent_data: {b: {path: ⟦/}}"), "/ is the root of one itself"),
    Case(
        "device with the name of data",
        machine("devices: {pd-b: {type: none}}\npersistent_data: {⟦b: {path: /x}}"),
        "has a device pd-b",
    ),
    Case(
        "device with the name of a storage volume",
        machine("devices: {b: {type: none}}\nstorage_volumes: {⟦b: {path: /x}}"),
        "has a device b, the name this needs: storage volume b",
    ),
    Case(
        "storage volume with the name of the interface",
        machine("storage_volumes: {⟦eth0: {path: /x}}"),
        "has a device eth0, the name this needs",
    ),
    Case(
        "storage volume with the name of the root disk",
        machine("storage_volumes: {⟦root: {path: /x}}"),
        "has a device root, the name this needs",
    ),
    Case(
        "storage volume with the name of persistent data",
        machine("storage_volumes: {pd-a: {path: /x}}\npersistent_data: {⟦a: {path: /y}}"),
        "has a device pd-a, the name this needs",
    ),
    Case(
        "device with the name of the root disk",
        machine("devices: {⟦root: {type: disk, source: /s, path: /x}}"),
        "takes the place of the root disk of one, and is none",
    ),
    Case(
        "device of a profile with the name of the root disk",
        domain(
            "subnet_id: 3\nprofiles: {p: {devices: {root: {type: disk, source: /s, path: /x}}}}\n"
            "machines: {one: {⟦profiles: [default, p]}}"
        ),
        "takes the place of the root disk of one, and is none",
    ),
    Case(
        "device at the place of the root disk",
        machine("devices: {big: {type: disk, pool: p, path: ⟦/}}"),
        "/ of one is already the place of the root disk",
    ),
    Case(
        "two at one place by another way to it",
        machine("storage_volumes: {a: {path: /x}}\npersistent_data: {b: {path: ⟦/y/../x}}"),
        "/x of one is already the place of storage volume a",
    ),
    Case(
        "propagated volume at the place of data",
        machine('config: {security.nesting: "1"}\npersistent_data: {b: {path: /shared/docs}}')
        + "  more: {subnet_id: 4, machines: {m: {}}}\n"
        + "shared_volumes: {docs: {propagate: true, path: ⟦/shared/docs, consumers: {m: ro}}}\n",
        "/shared/docs of one is already the place of persistent data b",
    ),
    Case(
        "device with the name of a shared volume",
        "domains: {lab: {subnet_id: 1, machines: {m: {devices: {sv-a: {type: none}}}}}}\n"
        "shared_volumes:\n  ⟦a: {consumers: {m: ro}}\n",
        "has a device sv-a",
    ),
    Case("firewall without a home", settings("firewall_mode: ⟦vm"), "vm needs an enabled domain anklume or admin"),
    Case(
        "firewall's address taken",
        'global: {firewall_mode: vm}\ndomains: {admin: {subnet_id: 0, machines: {m: {ip: "10.100.0.253"}}}}\n'.replace(
            "vm", "⟦vm"
        ),
        "10.100.0.253 is already the address of m",
    ),
    Case("exclusive without ai-tools", settings("ai_access_policy: ⟦exclusive"), "needs an enabled domain ai-tools"),
    Case(
        "exclusive without a first domain",
        "global: {ai_access_policy: ⟦exclusive}\ndomains: {ai-tools: {subnet_id: 1}}\n",
        "needs ai_access_default",
    ),
    Case(
        "exclusive for itself",
        "global: {ai_access_policy: exclusive, ai_access_default: ⟦ai-tools}\ndomains: {ai-tools: {subnet_id: 1}}\n",
        "cannot have access to itself",
    ),
    Case(
        "exclusive for a stranger",
        "global: {ai_access_policy: exclusive, ai_access_default: ⟦por}\n"
        "domains: {ai-tools: {subnet_id: 1}, pro: {subnet_id: 2}}\n",
        'no enabled domain "por"',
        "did you mean pro?",
    ),
    Case(
        "exclusive for two",
        "global: {ai_access_policy: ⟦exclusive, ai_access_default: pro}\n"
        "domains: {ai-tools: {subnet_id: 1}, pro: {subnet_id: 2}, dev: {subnet_id: 3}}\n"
        "network_policies: [{from: pro, to: ai-tools}, {from: dev, to: ai-tools}]\n",
        "allows one policy to ai-tools, and there are 2",
    ),
    Case(
        "one port of two machines",
        two('{ip: "10.100.1.1", publish: [443]}', '{ip: "10.100.2.1", publish: [80, ⟦"443:8443"]}'),
        "port 443 of the host is already published: machine m1, line 5",
        'like "8443:8443"',
    ),
    Case("one port twice", published("443, ⟦{port: 443, to: 80}"), "port 443 of the host is already published: line 7"),
    Case(
        "published without an address", machine("⟦publish: [443]"), "no fixed address to be published", "give it an ip"
    ),
    Case(
        "published behind a bridge of the user's own",
        published("443", "devices: {eth0: {type: nic, nictype: bridged, parent: br0}}").replace("publish", "⟦publish"),
        "has an interface of its own: devices.eth0 says nictype, parent",
    ),
    Case(
        "published by a device of that name",
        published("⟦443", "devices: {publish-tcp-443: {type: none}}"),
        "has a device publish-tcp-443",
    ),
    Case(
        "published for an address in a network",
        published("{port: 443, from: [lan, ⟦10.8.0.5/24]}"),
        "10.8.0.5/24 is an address in a network",
        "write 10.8.0.0/24",
    ),
    Case(
        "one storage volume of two machines",
        domain(
            "subnet_id: 3\nmachines:\n  db1: {storage_volumes: {data: {path: /var/lib/db, size: 20GiB}}}\n"
            "  db2: {storage_volumes: {⟦data: {path: /var/lib/db, size: 50GiB}}}"
        ),
        "db1 names this volume too, line 5: both would write to it",
        "give each machine a volume of its own name",
    ),
    Case(
        "one storage volume of two machines at different places",
        domain(
            "subnet_id: 3\nmachines:\n  db1: {storage_volumes: {data: {pool: ssd, path: /a}}}\n"
            "  db2: {storage_volumes: {⟦data: {pool: ssd, path: /b}}}"
        ),
        "db1 names this volume too, line 5",
    ),
    Case(
        "octal number as a port",
        policy("from: pro\nto: tools\nports: [⟦022]"),
        "022 without quotes is the number 18, base 8",
        "write 22",
    ),
    Case(
        "octal number as a published port",
        published("⟦0443"),
        "0443 without quotes is the number 291, base 8",
        "write 443",
    ),
    Case(
        "octal number as a subnet", domain("subnet_id: ⟦010"), "010 without quotes is the number 8, base 8", "write 10"
    ),
    Case("octal number as a priority", machine("boot_priority: ⟦010"), "the number 8, base 8", "write 10"),
    Case("sexagesimal number as a weight", machine("weight: ⟦1:30"), "the number 90, base 60", "without a colon"),
    Case("hexadecimal number as a subnet", domain("subnet_id: ⟦0x10"), "the number 16, base 16", "write 16"),
    Case("binary number as a subnet", domain("subnet_id: ⟦0b11"), "the number 3, base 2", "write 3"),
    Case("number with an underscore", domain("subnet_id: ⟦1_0"), "1_0 without quotes is the number 10", "write 10"),
    Case(
        "octal number of cores",
        settings("resource_policy: {host_reserve: {cpu: ⟦010}}"),
        "the number 8, base 8",
        "write 10",
    ),
    Case(
        "sexagesimal number in the long form", published("{port: ⟦1:30}"), "the number 90, base 60", "without a colon"
    ),
    Case(
        "a name for what is not published",
        machine("⟦publish_name: voice"),
        "publishes nothing under that name",
        "add publish, like [443]",
    ),
    Case(
        "one name of two machines",
        two(
            '{ip: "10.100.1.1", publish: [443], publish_name: voice}',
            '{ip: "10.100.2.1", publish: [80], publish_name: ⟦voice}',
        ),
        "voice.local already leads to machine m1: line 5",
    ),
    Case(
        "an STT server without a key",
        published('80, ⟦"443:8000"', "roles: [stt_server]"),
        "port 443 leads to stt_server, which has no key",
        "set stt_server_api_key: auto in host_vars/one.yml",
    ),
    Case(
        "Ollama by its full name",
        published("⟦11434", "roles: [anklume.stt.ollama_server]"),
        "port 11434 leads to ollama_server, which knows no key",
        "publish_without_key: true",
    ),
    Case(
        "lan that holds a domain",
        settings("lan: {networks: [192.168.1.0/24, ⟦10.0.0.0/8]}"),
        "10.0.0.0/8 overlaps 10.100.3.0/24 of domain lab",
    ),
    Case(
        "lan of host bits", settings("lan: {networks: [⟦192.168.1.5/24]}"), "192.168.1.5/24 is an address in a network"
    ),
    Case("policy from lan to the host", policy("⟦from: lan\nto: host"), "from lan to host passes no domain"),
    Case(
        "policy from a domain that is called lan",
        "domains: {lan: {subnet_id: 1}, lab: {subnet_id: 2}}\nnetwork_policies: [{from: ⟦lan, to: lab}]\n",
        "lan means the networks of the host, and there is a domain of that name",
        "rename the domain",
    ),
    Case(
        "policy to a machine that is called internet",
        "domains: {lab: {subnet_id: 1, machines: {internet: {}}}}\nnetwork_policies: [{from: lab, to: ⟦internet}]\n",
        "internet means all but private networks, and there is a machine of that name",
    ),
    Case("a role we do not have", machine("roles: [⟦anklume.stt.whisper]"), 'has no role "whisper"'),
    Case(
        "number as a domain",
        "domains:\n  ⟦12: {subnet_id: 1}\n",
        "the key 12 without quotes is a number",
        'write "12":',
    ),
    Case(
        "boolean as a machine", domain("subnet_id: 3\nmachines:\n  ⟦on: {}"), "the key on without quotes is a boolean"
    ),
    Case(
        "a quote that is never closed",
        domain('subnet_id: 3\nmachines:\n  one:\n    description: ⟦"abc\n    type: lxc\n  two: {}'),
        "the quote that opens here is never closed",
    ),
    Case(
        "a quote that another one closes",
        domain('subnet_id: 3\nmachines:\n  one:\n    description: "abc\n    type: ⟦"lxc"').replace(
            'type: ⟦"lxc', 'type: "⟦lxc'
        ),
        "not valid YAML",
        "a quote opens at line 6 and is closed in this line",
    ),
    Case(
        "keys of one mapping in two columns",
        "domains:\n  lab:\n    subnet_id: 3\n    machines:\n      one: {}\n     ⟦two: {}\n",
        "not valid YAML",
        "keys of one mapping start in the same column",
    ),
    Case(
        "dashes of one list in two columns",
        "domains: {}\nnetwork_policies:\n  - {from: host, to: host}\n ⟦- {from: host, to: host}\n",
        "not valid YAML",
        "start in the same column",
    ),
    Case(
        "memory with a space in it",
        machine("config: {limits.memory: ⟦8 GB}"),
        'Incus refuses "8 GB" here: must be a size like "8GiB", or a percentage',
    ),
    Case("word where Incus wants true or false", machine("config: {boot.autostart: ⟦maybe}"), "must be true or false"),
    Case("word where Incus wants a number", machine("config: {limits.processes: ⟦many}"), "must be a whole number"),
    Case("schedule for Incus that is none", machine('config: {snapshots.schedule: ⟦"99 * * * *"}'), "five fields"),
    Case(
        "word in a profile where Incus wants true or false",
        domain("subnet_id: 3\nprofiles: {p: {config: {security.nesting: ⟦maybe}}}"),
        "must be true or false",
    ),
    Case(
        "word in a device where Incus wants true or false",
        machine("devices: {d: {type: disk, source: /s, path: /x, readonly: ⟦maybe}}"),
        "must be true or false",
    ),
    Case(
        "any is no neighbour of lan",
        policy("from: pro\nto: ⟦any"),
        'no domain or machine "any"',
        "host, lan and internet",
    ),
    Case("a profile twice", machine("profiles: [default, ⟦default]"), "profile default is already in this list"),
    Case("memory without a unit", machine("config: {limits.memory: ⟦8}"), "without a unit is bytes", 'write "8GiB"'),
    Case("memory in small letters", machine("config: {limits.memory: ⟦8gb}"), "Incus refuses", 'write "8GB"'),
    Case("processors in base 60", machine("config: {limits.cpu: ⟦1:30}"), "a number, or a set"),
    Case("a mark of apply", machine("config: {⟦user.anklume.project: other}"), "what belongs to this project"),
    Case("a bracket that lacks its end", machine("roles: ⟦[a, b\ngpu: true"), "not closed, or lacks a comma"),
    Case("a bracket too many", machine("roles: [a, b]⟦]"), "not valid YAML", "was not opened"),
    Case(
        "an apostrophe in single quotes", machine("description: 'it'⟦s'"), "not valid YAML", "an apostrophe is written"
    ),
    Case("a key without its colon", "domains:\n  lab\n    subnet_id⟦: 3\n", "not valid YAML", "write lab: in the line"),
    Case(
        "a colon that is none",
        "domains\uff1a\n  lab⟦: {subnet_id: 3}\n",
        "not valid YAML",
        "line 1 has a sign that only",
    ),
    Case("an encrypted value", machine("description: ⟦!vault x"), "the tag !vault", "secrets belong in host_vars/"),
    Case("a whole number with a dot", domain("subnet_id: ⟦3.0"), "must be a whole number", "write 3"),
    Case("alias of nothing", "domains: ⟦*gone\n", "no anchor &gone above"),
    Case("second document", "domains: {}\n⟦---\ndomains: {}\n", "a second YAML document begins here"),
    Case("tag without a meaning", "domains: {lab: {subnet_id: ⟦!new 3}}\n", "the tag !new has no meaning here"),
    Case("tab", "domains:\n⟦\tlab: {}\n", "not valid YAML", "spaces"),
    Case("colon in a text", "project_name: a⟦: b\ndomains: {}\n", "not valid YAML", "needs quotes"),
    Case("open bracket", "domains: ⟦[\n", "the [ that opens here is not closed"),
    Case("a remote that is none", domain("subnet_id: 3\nremote: ⟦gpu"), 'there is no remote "gpu"', "global.remotes"),
    Case(
        "a misspelled remote",
        servers("{}", "{}").replace("remote: gpu-room", "remote: ⟦gpu-rom"),
        'there is no remote "gpu-rom"',
        "did you mean gpu-room?",
    ),
    Case(
        "persistent data on another server",
        servers("{}", "{persistent_data: {⟦models: {path: /m}}}"),
        "is a folder of this machine, and ai is on server gpu-room",
        "take storage_volumes",
    ),
    Case(
        "a shared volume on another server",
        servers("{}", "{}", "shared_volumes:\n  ⟦docs: {consumers: {here: ro, there: ro}}\n"),
        "is a folder of this machine, and ai is on server gpu-room",
    ),
    Case(
        "a name announced by another server",
        servers("{}", '{ip: "10.100.2.1", publish: [443], publish_name: ⟦voice}'),
        "nothing announces a name on server gpu-room",
    ),
    Case(
        "a policy between servers",
        servers("{}", "{}", "network_policies:\n  - from: here\n    to: ⟦there\n"),
        "here is on this machine, there on server gpu-room",
        "publish the port",
    ),
    Case(
        "a service that talks to one on another server",
        servers("{roles: [⟦open_webui]}", '{ip: "10.100.2.1", roles: [stt_server]}'),
        "open_webui talks to stt_server, which is on server gpu-room",
        "publish its port on ai, and set infra_stt_url in group_vars/here.yml",
    ),
    Case(
        "a policy between members of a cluster",
        two("{target: n1}", "{target: n2}") + "network_policies:\n  - from: a\n    to: ⟦b\n",
        "a is on member n1, b on member n2",
        "publish the port of the machine in b",
    ),
    Case(
        "a service that talks to one on another member",
        members("{target: n1, roles: [⟦open_webui]}", "{target: n2, roles: [stt_server]}"),
        "open_webui talks to stt_server, which is on member n2: no bridge leads there",
        "publish its port on m2, and set infra_stt_url in host_vars/m1.yml",
    ),
    Case(
        "two on the GPU of one member",
        members("{target: n1, gpu: true}", "{target: n1, gpu: ⟦true}"),
        "2 machines have the GPU (m1, m2), and gpu_policy is exclusive",
    ),
    Case(
        "one on the GPU of a member, and one that Incus may put there",
        members("{target: n1, gpu: true}", '{target: "@gpu", gpu: ⟦true}'),
        "2 machines have the GPU (m1, m2), and gpu_policy is exclusive",
    ),
    Case("control character", "domains: {}\nproject_name: a⟦\x07\n", "U+0007 is not allowed"),
]
MEANING = [Case(case.name, case.marked, case.says, case.hint, meaning=True) for case in MEANING]

RIGHT = {
    "domains on two servers": servers("{gpu: true}", "{gpu: true}"),
    "two GPUs, on two members of a cluster": members("{target: n1, gpu: true}", "{target: n2, gpu: true}"),
    "a policy where Incus may put both on one member": two("{target: n1}", '{target: "@gpu"}')
    + "network_policies:\n  - from: a\n    to: b\n",
    "a remote of several addresses": servers("{}", "{}").replace(
        '"192.168.1.20"', '[gpu.lan, "192.168.1.20:9443", "fd00::1", "[fd00::1]:9443"]'
    ),
    "one name of volumes in two pools, and in two domains": two(
        "{storage_volumes: {data: {pool: a, path: /x}}}", "{storage_volumes: {data: {pool: a, path: /x}}}"
    ),
    "a place for anchors": "x-common: &c {type: lxc}\ndomains: {a: {subnet_id: 1, machines: {m: *c}}}\nx-: 08\n",
    "a project name with a space": "project_name: My Infra\ndomains: {}\n",
    "every port of one protocol": policy("from: pro\nto: tools\nprotocol: udp"),
    "numbers of Incus stay the text that they are": machine("config: {user.a: 010, user.b: 1:30, user.c: 0x10}"),
    "a root disk of its own": machine("devices: {root: {type: disk, pool: p, path: /}}"),
    "a root disk of another name": machine("profiles: []\ndevices: {big: {type: disk, pool: p, path: /}}"),
    "a root disk by a profile": domain(
        "subnet_id: 3\nprofiles: {big: {devices: {disk0: {type: disk, pool: p, path: /}}}}\n"
        "machines: {one: {profiles: [big]}}"
    ),
    "what Incus takes": machine(
        'config: {limits.memory: 50%, boot.autostart: "1", user.x: y, environment.A: b, limits.kernel.nofile: 9, '
        'snapshots.schedule: "@daily, 0 2 * * *", limits.cpu: 0-3, raw.lxc: "", volatile.x: y}\n'
        'snapshots_schedule: "*/15 0-6,22 ? jan-mar sun"\n'
        "devices: {c: {type: unix-char, path: /dev/x, mode: 0660}, d: {type: disk, source: /s, path: /x, size: 1GiB}}"
    ),
    "no profile at all": machine("profiles: []"),
    "a date is text": machine("description: 2026-01-01\nconfig: {user.made: 2026-01-01}"),
    "empty mapping of domains": "domains: {}\n",
    "optional keys without values": "global:\n" + machine("ip:\nroles:\nconfig:\nboot_autostart:") + "    profiles:\n",
    "numbers and booleans in config": machine("config:\n  limits.cpu: 4\n  security.nesting: true"),
    "resource policy by true": settings("resource_policy: true"),
    "resource policy empty": settings("resource_policy: {}"),
    "reserve in numbers": settings("resource_policy: {host_reserve: {cpu: 2, memory: 4294967296}}"),
    "ports as ranges": policy('from: pro\nto: tools\nports: [80, "8000-8010"]'),
    "sanitize always": domain("subnet_id: 3\nai_sanitize: always"),
    "aliases and merges": (
        "domains:\n  a:\n    subnet_id: 1\n    machines:\n      m1: &base {type: lxc, roles: [base_system]}\n"
        "      m2:\n        <<: *base\n        gpu: true\n"
    ),
    "ports in all forms": published('443, 8443:443, "80", {port: 53, to: 5353, protocol: udp, from: [lan, 10.8.0.5]}'),
    "one port of two protocols": published("{port: 443}, {port: 443, protocol: udp, from: any}"),
    "a page with a login": published("443, 3000", "roles: [open_webui]"),
    "an STT server for everybody": published(
        "8000, 11434", "roles: [stt_server, ollama_server]\npublish_without_key: true"
    ),
    "other ports of an STT server": published("443, {port: 8000, protocol: udp}", "roles: [stt_server]"),
    "a name for the page": published("443", "publish_name: my-voice"),
    "nothing published": machine("publish: []"),
    "a lan by name": settings("lan: {networks: [192.168.1.0/24], addresses: [192.168.1.5]}"),
    "policy from lan": policy("from: lan\nto: pro-dev\nports: [80]"),
    "bytes in full": machine(
        'storage_volumes: {a: {path: /x, size: "1073741824"}}\nconfig: {limits.memory: 1073741824}'
    ),
    "machine named like an app": machine("roles: [ns.coll.role, my-role]"),
}
