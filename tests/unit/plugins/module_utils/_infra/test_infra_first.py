# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What make init writes: from what was seen of a machine to files that end in speech there."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import InfraError
from ansible_collections.anklume.stt.plugins.module_utils._infra.check import check
from ansible_collections.anklume.stt.plugins.module_utils._infra.first import First, Seen, Wishes, compose
from ansible_collections.anklume.stt.plugins.module_utils._infra.load import parse
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Model
from ansible_collections.anklume.stt.plugins.modules import stt_fit
from hypothesis import given, settings
from hypothesis import strategies as st
from module_runner import run_module

ROOT = Path(__file__).resolve().parents[5]
SCHEMA = "../../schema/infra.schema.json"
PLAIN = Seen(lan=("192.168.1.5",))
WITH_GPU = Seen(gpu="RTX 3060, 12288 MiB", no_gpu="", lan=("192.168.1.5",))


def model_of(made: First) -> Model:
    """The model of the infra.yml, which has neither faults nor warnings."""
    root, faults = parse(made.files["infra.yml"].encode(), "infra.yml")
    assert root is not None and not faults
    model, said = check(root)
    assert [one for one in said if one.level != "note"] == []
    return model


def variables(made: First, machine: str) -> dict[str, Any]:
    return yaml.safe_load(made.files[f"host_vars/{machine}.yml"])


def machines(made: First) -> dict[str, Any]:
    return {machine.name: machine for machine in model_of(made).machines}


def test_the_example_is_what_make_init_writes():
    example = ROOT / "docs/examples/init"
    there = {str(path.relative_to(example)): path.read_text() for path in example.rglob("*.yml")}
    assert compose(Wishes(), PLAIN, SCHEMA).files == there


def test_without_a_gpu_the_processor_is_taken_and_float16_is_not():
    made = compose(Wishes(), PLAIN, SCHEMA)
    mine = variables(made, "homelab-ai")
    fit = run_module(stt_fit, variables={name: mine[name] for name in ("stt_server_model", "stt_server_quantization")})
    assert fit["accepted"] and fit["effective_compute_type"] == "int8_float32"
    ai = machines(made)["homelab-ai"]
    assert (ai.gpu, ai.roles) == (False, ("base_system", "stt_server"))
    assert variables(made, "homelab-webui") == {
        "open_webui_stt_url": "{{ infra_stt_url }}",
        "open_webui_ollama_url": "",
    }
    assert "speech runs on the processor (this machine has no NVIDIA GPU)" in made.summary[0]


def test_a_gpu_brings_ollama_and_the_engine_speaches():
    made = compose(Wishes(), WITH_GPU, SCHEMA)
    ai = machines(made)["homelab-ai"]
    assert (ai.gpu, ai.roles) == (True, ("base_system", "ollama_server", "stt_server"))
    mine = variables(made, "homelab-ai")
    assert mine["stt_server_engine"] == "speaches"
    fit = run_module(
        stt_fit,
        gpu="RTX 3060",
        check_host=False,
        variables={name: mine[name] for name in ("stt_server_model", "stt_server_quantization")},
    )
    assert (fit["model"]["name"], fit["compute_type"]) == ("large-v3-turbo", "float16")
    assert variables(made, "homelab-webui")["open_webui_ollama_url"] == "{{ infra_ollama_url }}"


def test_what_was_asked_for_comes_first():
    asked = Wishes("den", False, True, 8443, "10.42", "speaches", "small", "/srv/small", "no")
    made = compose(asked, WITH_GPU, SCHEMA)
    assert model_of(made).project_name == "den"
    ai, web = machines(made)["den-ai"], machines(made)["den-webui"]
    assert (ai.gpu, ai.ip) == (False, "10.42.3.10")
    assert [(one.port, one.to) for one in web.publish] == [(8443, 443)]
    assert variables(made, "den-ai") == {
        "stt_server_engine": "speaches",
        "stt_server_model": "small",
        "stt_server_model_source": "/srv/small",
        "stt_server_quantization": "auto",
        "stt_server_device": "cpu",
        "stt_server_language": "no",
    }
    assert variables(made, "den-webui")["open_webui_stt_language"] == "no"


def test_a_taken_port_is_gone_round_and_named():
    made = compose(Wishes(), replace(PLAIN, taken={443: "nginx (pid 7)", 8443: "java (pid 8)"}), SCHEMA)
    assert [(one.port, one.to) for one in machines(made)["homelab-webui"].publish] == [(9443, 443)]
    assert "port of this host that leads to the page: 9443, because 443 is taken by nginx (pid 7)" in made.summary
    assert "page: https://192.168.1.5:9443" in made.summary


@pytest.mark.parametrize(("wishes", "seen"), [(Wishes(port=0), PLAIN), (Wishes(), Seen())])
def test_nothing_is_published_where_nobody_wants_it_or_there_is_no_local_network(wishes, seen):
    assert machines(compose(wishes, seen, SCHEMA))["homelab-webui"].publish == ()


def test_without_a_hub_the_test_model_stands_in_and_is_warned_of():
    made = compose(Wishes(), replace(WITH_GPU, no_hub="no route", stand_in="/c/t.tar.xz"), SCHEMA)
    mine = variables(made, "homelab-ai")
    assert (mine["stt_server_model"], mine["stt_server_model_source"]) == ("anklume/whisper-test", "/c/t.tar.xz")
    assert mine["stt_server_engine"] == "faster_whisper"
    (warning,) = made.warnings
    assert "no route" in warning and "knows only the sentences" in warning


def test_without_a_hub_and_a_test_model_apply_is_said_to_fail():
    (warning,) = compose(Wishes(), replace(PLAIN, no_hub="no route"), SCHEMA).warnings
    assert "apply cannot fetch the model auto" in warning
    named = Wishes(model="small", model_source="/srv/small")
    assert compose(named, replace(PLAIN, no_hub="no route", stand_in="/c/t.tar.xz"), SCHEMA).warnings == ()


def test_a_mirror_of_the_hub_is_told_to_the_role():
    made = compose(Wishes(), replace(PLAIN, hub="https://hub.example.org"), SCHEMA)
    assert variables(made, "homelab-ai")["stt_server_hub_endpoint"] == "https://hub.example.org"


def test_a_machine_too_small_for_any_model_is_warned_of():
    assert "it needs 900 MiB" in compose(Wishes(), replace(PLAIN, short="it needs 900 MiB"), SCHEMA).warnings[0]


@pytest.mark.parametrize(
    ("wishes", "seen", "said"),
    [
        (Wishes(gpu=True), PLAIN, "gpu: this machine has no NVIDIA GPU: mend that"),
        (Wishes(port=443), replace(PLAIN, taken={443: "nginx (pid 7)"}), "taken by nginx (pid 7)"),
        (Wishes(port=70000), PLAIN, "ports are 1 to 65535"),
        (Wishes(base_subnet="10"), PLAIN, "write two numbers"),
        (Wishes(base_subnet="10.5"), replace(PLAIN, networks=(("wg0", IPv4Network("10.5.0.0/16")),)), "host's wg0"),
        (Wishes(model_source="/srv/m"), PLAIN, "say which model"),
        (Wishes(name="a-name-too-long"), PLAIN, "at most 11 are allowed"),
        (Wishes(), replace(PLAIN, networks=(("any", IPv4Network("0.0.0.0/0")),)), "give base_subnet"),
        (Wishes(language="klingon"), PLAIN, "language klingon: write its code of two letters, like en, fr or pl"),
        (Wishes(language="FR"), PLAIN, "language FR: write its code"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(wishes, seen, said):
    with pytest.raises(InfraError) as refused:
        compose(wishes, seen, SCHEMA)
    assert said in str(refused.value)


def test_a_range_is_taken_that_nothing_of_the_host_lies_in():
    """Wholly, where there is one: a VPN that begins tomorrow lies beside those of today."""
    busy = replace(PLAIN, networks=(("docker0", IPv4Network("10.100.64.0/18")),))
    assert model_of(compose(Wishes(), busy, SCHEMA)).base_subnet == "10.101"
    vpn = replace(PLAIN, networks=(("tun0", IPv4Network("10.0.0.0/8")),))
    assert model_of(compose(Wishes(), vpn, SCHEMA)).base_subnet == "172.20"


ROUTES = st.lists(
    st.builds(
        lambda address, bits: ("eth", IPv4Network((address, bits), strict=False)),
        st.sampled_from(["10.0.0.0", "172.16.0.0", "192.168.0.0"]).flatmap(
            lambda base: st.integers(0, 2**20 - 1).map(lambda rest: int(IPv4Network(f"{base}/32")[0]) + rest)
        ),
        st.integers(9, 30),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(ROUTES)
def test_no_network_of_the_host_is_ever_overlapped(routes):
    model = model_of(compose(Wishes(), replace(PLAIN, networks=tuple(routes)), SCHEMA))
    (domain,) = model.domains
    assert not any(network.overlaps(IPv4Network(domain.network.subnet)) for _name, network in routes)
