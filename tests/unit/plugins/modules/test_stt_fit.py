# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules gpu_info and stt_fit as Ansible runs them, with a stand-in nvidia-smi."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.anklume.stt.plugins.module_utils._vram import gather, probe
from ansible_collections.anklume.stt.plugins.module_utils._vram.compute_types import CTRANSLATE2, parse_version
from ansible_collections.anklume.stt.plugins.modules import gpu_info, stt_fit
from module_runner import run_module

RTX = "0, GPU-a1, NVIDIA GeForce RTX 3060, 12288, 11900, 120, 268, 8.6, 550.54.14, [N/A], [N/A]"
SMALL = "1, GPU-b2, NVIDIA T400, 2048, 2000, 0, 100, 7.5, 550.54.14, [N/A], [N/A]"
SLICED = "0, GPU-c3, NVIDIA A100-SXM4-40GB, 40960, 40330, 0, 630, 8.0, 550.54.14, Enabled, Enabled"
LIST = "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-c3)\n  MIG 1g.5gb      Device  0: (UUID: MIG-d4)\n"


@pytest.fixture
def smi(tmp_path: Path) -> Any:
    def make(*lines: str, status: int = 0) -> str:
        script = tmp_path / "nvidia-smi"
        (tmp_path / "answer").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (tmp_path / "listing").write_text(LIST, encoding="utf-8")
        script.write_text(
            f"#!/bin/sh\ncase $1 in -L) cat {tmp_path}/listing;; *) cat {tmp_path}/answer; exit {status};; esac\n",
            encoding="utf-8",
        )
        script.chmod(0o755)
        return str(script)

    return make


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the module warns of; where Ansible keeps that depends on what else runs in this process."""
    said: list[str] = []
    monkeypatch.setattr(stt_fit.AnsibleModule, "warn", lambda _module, warning: said.append(warning))
    return said


def fit(**params: Any) -> dict[str, Any]:
    """Run stt_fit without the memory and disk of the test machine."""
    result = run_module(stt_fit, check=True, **{"check_host": False, **params})
    assert result.get("changed", False) is False
    return result


def test_gpu_info(smi: Any) -> None:
    result = run_module(gpu_info, nvidia_smi=smi(RTX, SMALL))
    assert [gpu["name"] for gpu in result["gpus"]] == ["NVIDIA GeForce RTX 3060", "NVIDIA T400"]
    assert result["gpus"][0]["memory_total_mib"] == 12288
    assert result["mig_slices"] == []
    assert set(result["gpus"][0]) == documented(gpu_info, "gpus")


def documented(module: Any, name: str) -> set[str]:
    return set(yaml.safe_load(module.RETURN)[name]["contains"])


def test_gpu_info_tells_what_is_wrong(smi: Any) -> None:
    program = smi("Failed to initialize NVML: Driver/library version mismatch", status=18)
    for module in (gpu_info, stt_fit):
        result = run_module(module, nvidia_smi=program)
        assert result["failed"]
        assert "restart the instance" in result["msg"]


def test_the_gpu_of_the_machine_is_judged(smi: Any) -> None:
    result = fit(model="large-v3", compute_type="float16", nvidia_smi=smi(RTX))
    assert (result["verdict"], result["device"], result["available_mib"]) == ("fits", "cuda", 12020)
    assert result["gpu"]["memory_free_mib"] == 11900
    assert result["model"]["hub_id"] == "Systran/faster-whisper-large-v3"
    assert set(result["estimate"]) == documented(stt_fit, "estimate")
    assert result["estimate"]["worst"] == 8176
    assert not result["notes"]


def test_the_version_judged_by_is_the_one_that_the_roles_install() -> None:
    assert parse_version(stt_fit.ARGUMENTS["ctranslate2"]["default"]) == CTRANSLATE2


def test_of_two_gpus_the_first_is_judged_and_told(smi: Any, warned: list[str]) -> None:
    result = fit(model="small", compute_type="int8", nvidia_smi=smi(RTX, SMALL))
    assert "of 2 GPUs the first is judged" in result["notes"][0]
    assert result["notes"] == warned


def test_a_mig_slice_is_judged_by_its_own_size(smi: Any) -> None:
    result = fit(model="large-v3", compute_type="float16", nvidia_smi=smi(SLICED))
    assert (result["gpu"]["name"], result["available_mib"]) == ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", 4870)
    assert result["verdict"] == "does_not_fit"


def test_planning_by_name_fails_only_when_asked_to() -> None:
    asked = {"model": "large-v3", "compute_type": "float16", "gpu": "RTX 3050 4GB"}
    told = fit(**asked)
    assert (told["verdict"], told["accepted"], "failed" in told) == ("does_not_fit", False, False)
    refused = fit(**asked, fail_on=["does_not_fit"])
    assert refused["failed"]
    assert refused["msg"] == told["explanation"]
    assert refused["alternatives"][0]["variables"] == {
        "stt_server_quantization": "int8_float16",
        "stt_server_batch_size": 4,
    }
    assert set(refused["alternatives"][0]) == documented(stt_fit, "alternatives")


@pytest.mark.parametrize("capability", ["8.6", 8.6, "12.0", 12.0])
def test_planning_by_numbers(capability: object) -> None:
    result = fit(model="turbo", compute_type="float16", gpu={"memory_mib": 4096, "capability": capability})
    assert (result["verdict"], result["available_mib"]) == ("fits", 3846)


def test_planning_by_facts(smi: Any) -> None:
    (gpu,) = run_module(gpu_info, nvidia_smi=smi(RTX))["gpus"]
    assert fit(model="medium", compute_type="float16", gpu=gpu)["gpu"]["memory_reserved_mib"] == 268


def test_tight_warns_and_is_refused_by_policy(warned: list[str]) -> None:
    asked = {"model": "medium", "compute_type": "int8", "gpu": "RTX 3050 4GB"}
    tight = fit(**asked)
    assert (tight["verdict"], tight["accepted"]) == ("tight", True)
    assert warned == [tight["explanation"]]
    assert not fit(**asked, policy="fits")["accepted"]


def test_on_a_processor_float16_is_refused_by_naming_int8() -> None:
    result = fit(model="large-v3-turbo", compute_type="float16", device="cpu", fail_on=["unsupported"])
    assert result["failed"]
    assert "use int8" in result["msg"]
    assert result["estimate"] is None


def test_cuda_without_a_gpu_is_unsupported(smi: Any) -> None:
    result = fit(model="tiny", compute_type="float16", device="cuda", nvidia_smi=smi("No devices were found", status=6))
    assert result["verdict"] == "unsupported"
    assert "use the device cpu with int8" in result["explanation"]
    assert "no NVIDIA GPU may be used here" in result["explanation"]


def test_auto_chooses_both(smi: Any) -> None:
    result = fit(nvidia_smi=smi(RTX))
    assert result["variables"] == {
        "stt_server_model": "large-v3-turbo",
        "stt_server_quantization": "float16",
        "stt_server_batch_size": 8,
    }
    english = fit(gpu={"memory_mib": 2770, "capability": "8.6"}, language="en")
    assert english["model"]["name"] == "distil-large-v3.5"


def test_a_model_for_english_alone_is_told_of_another_language() -> None:
    assert "knows English alone" in fit(model="small.en", compute_type="int8", device="cpu", language="fr")["notes"][0]
    assert not fit(model="small.en", compute_type="int8", device="cpu")["notes"]


@pytest.mark.parametrize(
    ("version", "variable"), [("0.24.0", "OLLAMA_GPU_OVERHEAD"), ("0.30.0", "LLAMA_ARG_FIT_TARGET")]
)
def test_the_reserve_for_ollama(version: str, variable: str) -> None:
    asked = {"model": "large-v3-turbo", "compute_type": "float16", "gpu": "RTX 3060", "ollama_version": version}
    reserve = fit(**asked)["ollama_reserve"]
    assert reserve["variable"] == variable
    assert reserve["reserved_mib"] == 3617 - 2162
    assert "GiB left on this 12 GiB GPU: fits an 8B model" in reserve["left"]
    assert fit(**asked, keeps_model=False)["ollama_reserve"]["reserved_mib"] == 3617
    assert set(reserve) == documented(stt_fit, "ollama_reserve")


def test_no_reserve_where_there_is_nothing_to_share() -> None:
    asked = {"model": "large-v3", "compute_type": "int8", "ollama_version": "0.30.0"}
    assert fit(**asked, device="cpu")["ollama_reserve"] is None
    assert fit(**asked, gpu="RTX 3050 4GB")["ollama_reserve"] is None
    tight = fit(**asked, gpu={"memory_mib": 5800, "capability": "8.6"})
    assert (tight["verdict"], tight["ollama_reserve"]) == ("tight", None)
    assert "nothing is left for Ollama" in tight["notes"][0]


def test_the_table() -> None:
    assert len(fit(gpu="RTX 3060", table=True)["table"].splitlines()) > 15
    assert "table" not in fit(gpu="RTX 3060")


def test_a_model_that_is_not_in_the_table(tmp_path: Path) -> None:
    asked = {"model": "me/mine", "compute_type": "float16", "gpu": "RTX 3050 4GB"}
    assumed = fit(**asked)
    assert (assumed["verdict"], assumed["model"]["known_from"]) == ("tight", "assumed")
    sized = fit(**asked, model_file_mib=1543)
    assert (sized["verdict"], sized["model"]["known_from"]) == ("fits", "file size")
    (tmp_path / "me" / "mine").mkdir(parents=True)
    (tmp_path / "me" / "mine" / "model.bin").write_bytes(bytes(1000))
    here = fit(**asked, models_dir=str(tmp_path))
    assert (here["verdict"], here["model"]["known_from"], here["estimate"]["disk"]) == ("fits", "file size", 0)


def test_the_disk_is_judged_unless_the_model_lies_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "disk_free", lambda path: 100)
    asked = {"model": "small", "compute_type": "float16", "gpu": "RTX 3060", "check_host": True}
    assert fit(**asked)["verdict"] == "fits" and not fit(**asked)["model"]["here"]
    full = fit(**asked, models_dir=str(tmp_path))
    assert full["verdict"] == "does_not_fit"
    assert "100 MiB are free" in full["explanation"]
    cached = tmp_path / "hub/models--Systran--faster-whisper-small/snapshots/0123"
    cached.mkdir(parents=True)
    (cached / "model.bin").touch()
    there = fit(**asked, models_dir=str(tmp_path))
    assert there["verdict"] == "fits" and there["model"]["here"]


def test_auto_keeps_to_what_it_chose_when_that_has_filled_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"gpu": "RTX 3060", "check_host": True, "models_dir": str(tmp_path)}
    monkeypatch.setattr(probe, "disk_free", lambda path: 2000)
    chosen = fit(**asked)["model"]
    assert chosen["name"] == "large-v3-turbo"
    cached = tmp_path / "hub" / f"models--{chosen['hub_id'].replace('/', '--')}" / "snapshots/0123"
    cached.mkdir(parents=True)
    (cached / "model.bin").touch()
    monkeypatch.setattr(probe, "disk_free", lambda path: 300)
    assert fit(**asked)["model"] == chosen | {"here": True}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"model": "large-v4"}, "nearest: 'large-v3'"),
        ({"compute_type": "int8_fp16"}, "nearest: 'int8_float16'"),
        ({"gpu": "RTX 3061"}, "nearest: 'RTX 3060 12GB'"),
        ({"gpu": {"memory_mib": -1, "capability": "8.6"}}, "use 1 or more"),
        ({"others": [{"name": "x", "mib": -1}]}, "use 0 or more"),
        ({"others": [{"name": "x", "mib": 20000}]}, "use at most 11919"),
        ({"others": [{"name": "x"}]}, "give a name and mib"),
        ({"batch_size": 0}, "use 1 "),
        ({"ctranslate2": "new"}, "like 4.8.5"),
        ({"ollama_version": "new", "model": "tiny"}, "like 0.30.0"),
    ],
)
def test_wrong_input_is_told_the_nearest_valid_value(wrong: dict[str, Any], told: str) -> None:
    result = fit(**{"gpu": "RTX 3060", "model": "small", "compute_type": "int8", **wrong})
    assert result["failed"]
    assert told in result["msg"]


def test_variables_of_the_role_stand_for_options() -> None:
    variables = {
        "stt_server_engine": "faster_whisper",
        "stt_server_model": "large-v3",
        "stt_server_quantization": "float16",
        "stt_server_device": "auto",
        "stt_server_gpu": {"memory_mib": 4096, "capability": "8.6"},
        "stt_server_vram_others": [],
        "stt_server_batch_size": "8",
        "stt_server_beam_size": 5,
        "stt_server_workers": 1,
        "stt_server_vram_policy": "tight",
        "stt_server_language": "",
        "stt_server_tts_models": [],
    }
    options = {option: variables[name] for name, option in gather.VARIABLES.items()}
    assert set(variables) == set(gather.VARIABLES)
    by_variables, by_options = fit(variables=variables), fit(**options)
    assert by_variables["verdict"] == "does_not_fit"
    assert {**by_variables, "invocation": ""} == {**by_options, "invocation": ""}
    assert "stt_server_workers" in fit(variables={"stt_server_workers": "many"})["msg"]


def test_the_processors_are_counted() -> None:
    assert fit(model="tiny", device="cpu", compute_type="int8")["cores"] == len(os.sched_getaffinity(0))


def test_speech_takes_memory_of_the_machine_and_none_of_a_gpu(smi: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = probe.machine()
    monkeypatch.setattr(probe, "machine", lambda: machine)
    asked = {"model": "small", "compute_type": "int8", "check_host": True}
    without = fit(**asked, device="cpu")
    both = fit(**asked, device="cpu", speech_models=["piper-gosia", "kokoro"])
    assert without["available_mib"] - both["available_mib"] == 1120
    assert "speech takes 1120 MiB of the machine's memory and 0 of a GPU's: it runs on the processor" in both["notes"]
    on_gpu = {**asked, "nvidia_smi": smi(RTX)}
    assert fit(**on_gpu)["available_mib"] == fit(**on_gpu, speech_models=["piper-gosia"])["available_mib"]
    assert not any("speech" in note for note in without["notes"])


# --- Parakeet


def test_parakeet_runs_in_int8_on_a_processor_and_in_float32_on_a_gpu(smi: Any) -> None:
    for asked in ("auto", "float16", "default", "int8"):
        cpu = fit(engine="parakeet", model="parakeet-v3", compute_type=asked, device="cpu")
        assert (cpu["verdict"], cpu["compute_type"], cpu["effective_compute_type"]) == ("fits", "int8", "int8")
    assert cpu["model"]["hub_id"] == "istupakov/parakeet-tdt-0.6b-v3-onnx" and cpu["model"]["known_from"] == "table"
    assert cpu["estimate"]["disk"] == 639 and 1600 < cpu["estimate"]["worst"] < 1750
    gpu = fit(engine="parakeet", model="parakeet-v3", gpu="RTX 3060", compute_type="float16", ollama_version="0.30.0")
    assert (gpu["verdict"], gpu["compute_type"]) == ("fits", "float32")
    assert 3500 < gpu["estimate"]["worst"] < 4000
    assert gpu["ollama_reserve"]["reserved_mib"] >= gpu["estimate"]["worst"] - gpu["estimate"]["idle"] > 400
    assert fit(engine="parakeet", model="parakeet-v3", device="cpu", compute_type="float32")["estimate"]["disk"] == 2432


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"model": "parakeet-v3", "compute_type": "int8", "gpu": "RTX 3060"}, "in int8 cannot run on a GPU"),
        ({"model": "parakeet-v3", "compute_type": "int8_float16"}, "Parakeet has no int8_float16: set auto, int8 (on"),
        (
            {"model": "small"},
            "small is no Parakeet, and the engine parakeet loads nothing else: set stt_server_model to",
        ),
        (
            {"model": "parakeet-v2", "language": "fr"},
            "parakeet-v2 does not know the language fr of stt_server_language: set",
        ),
        ({"model": "auto", "language": "ja"}, "Parakeet does not know the language ja"),
        ({"model": "parakeet-v4"}, "'parakeet-v4' is not a known model (nearest: 'parakeet-v3')"),
        (
            {"engine": "speaches", "model": "parakeet-v3"},
            "which the engine speaches cannot load: set stt_server_engine",
        ),
    ],
)
def test_what_parakeet_cannot_be_is_refused(params: dict[str, Any], said: str) -> None:
    assert said in fit(**{"engine": "parakeet", "device": "auto" if "gpu" in params else "cpu", **params})["msg"]


def test_auto_stays_with_the_engine() -> None:
    asked = {"engine": "parakeet", "model": "auto", "compute_type": "auto"}
    assert fit(**asked, device="cpu")["model"]["name"] == "parakeet-v3"
    english = fit(**asked, device="cpu", language="en")
    assert (english["model"]["name"], english["model"]["english_only"]) == ("parakeet-v2", True)
    small = fit(**asked, gpu={"memory_mib": 4096, "capability": "7.5"}, policy="fits")
    assert small["verdict"] in ("tight", "does_not_fit")
    assert {each["model"] for each in small["alternatives"]} <= {"parakeet-v3"}
    none = fit(**asked, gpu={"memory_mib": 2048, "capability": "7.5"})
    assert none["verdict"] == "does_not_fit" and none["alternatives"] == []


def test_a_parakeet_of_ones_own_is_judged_by_its_files(tmp_path: Path) -> None:
    mine = tmp_path / "me/parakeet-mine"
    mine.mkdir(parents=True)
    for name in ("vocab.txt", "encoder-model.int8.onnx", "decoder_joint-model.int8.onnx"):
        (mine / name).write_bytes(bytes(3 << 20))
    found = fit(engine="parakeet", model="me/parakeet-mine", models_dir=str(tmp_path), device="cpu")
    assert found["model"]["here"] and found["estimate"]["disk"] == 6
    assert fit(engine="parakeet", model="me/parakeet-x", model_file_mib=8, device="cpu")["estimate"]["disk"] == 8
    given = {"stt_server_engine": "parakeet", "stt_server_model": "me/parakeet-x", "stt_server_device": "cpu"}
    assert fit(variables=given)["estimate"]["disk"] == 639


def test_the_table_names_the_other_engine_where_it_knows_the_language() -> None:
    lines = fit(device="cpu", table=True)["table"].splitlines()[-5:]
    assert "stt_server_engine: parakeet" in lines[0] and "parakeet-v3  int8  ✔ 1" in lines[1] and "English" in lines[2]
    assert "stt_server_engine: vosk" in lines[3] and "vosk-small-en  ✔ 4" in lines[4] and "no punctuation" in lines[4]
    french = fit(gpu="RTX 3060", table=True, language="fr")["table"].splitlines()
    assert "parakeet-v3  float32  ✔ 3" in french[-3] and "parakeet-v2" not in "".join(french)
    assert "vosk-small-fr  ✔ 4" in french[-1] and "vosk-small-en" not in "".join(french)
    japanese = fit(device="cpu", table=True, language="ja")["table"]
    assert "parakeet" not in japanese and "vosk" not in japanese


# --- Vosk


def test_vosk_is_judged_by_the_machines_memory_whatever_gpu_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"engine": "vosk", "model": "vosk-small-fr"}
    for compute_type in ("auto", "float16", "float32"):
        found = fit(**asked, gpu="RTX 3060", compute_type=compute_type)
        assert (found["verdict"], found["device"], found["compute_type"]) == ("fits", "cpu", "float32")
    assert found["model"]["hub_id"] == "alphacep/vosk-model-small-fr-0.22" and found["model"]["parameters"] == 0
    assert found["estimate"]["disk"] == 121 and 350 < found["estimate"]["usual"] < 420
    assert found["ollama_reserve"] is None
    monkeypatch.setattr(probe, "machine", lambda: probe.Machine(512, 512, "x86_64", False))
    assert fit(**asked, check_host=True)["verdict"] == "tight"
    monkeypatch.setattr(probe, "machine", lambda: probe.Machine(256, 256, "x86_64", False))
    small = fit(**asked, check_host=True)
    assert (small["verdict"], small["alternatives"]) == ("does_not_fit", [])
    large = fit(engine="vosk", model="alphacep/vosk-model-en-us-0.22", model_file_mib=3000)
    assert large["estimate"]["ram"] > 6700


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (
            {"model": "small"},
            "small is no model of Vosk, and the engine vosk loads nothing else: set stt_server_model to",
        ),
        (
            {"model": "vosk-small-fr", "language": "en"},
            "vosk-small-fr knows fr alone, and stt_server_language is en: set",
        ),
        ({"model": "auto"}, "Vosk's models know one language: set stt_server_language to en, fr, de"),
        ({"model": "auto", "language": "ja"}, "no model of Vosk is known by name for ja: set stt_server_language to"),
        ({"model": "vosk-small-fr", "device": "cuda"}, "Vosk computes on the processor alone: set stt_server_device"),
        ({"model": "vosk-small-fr", "compute_type": "int8"}, "Vosk has no int8: set auto"),
        ({"model": "vosk-small-frr"}, "(nearest: 'vosk-small-fr')"),
        ({"engine": "parakeet", "model": "vosk-small-fr"}, "vosk-small-fr is no Parakeet"),
        (
            {"engine": "speaches", "model": "vosk-small-fr"},
            "which the engine speaches cannot load: set stt_server_engine",
        ),
    ],
)
def test_what_vosk_cannot_be_is_refused(params: dict[str, Any], said: str) -> None:
    assert said in fit(**{"engine": "vosk", **params})["msg"]


def test_auto_is_the_small_model_of_the_language() -> None:
    found = fit(engine="vosk", model="auto", language="pl")
    assert (found["model"]["name"], found["model"]["english_only"]) == ("vosk-small-pl", False)
    assert fit(engine="vosk", model="auto", language="en")["model"]["english_only"]


def test_a_vosk_model_of_ones_own_is_judged_by_its_files(tmp_path: Path) -> None:
    mine = tmp_path / "me/vosk-fr-mine"
    for name in ("am/final.mdl", "graph/HCLG.fst"):
        (mine / name).parent.mkdir(parents=True)
        (mine / name).write_bytes(bytes(3 << 20))
    found = fit(engine="vosk", model="me/vosk-fr-mine", models_dir=str(tmp_path))
    assert found["model"]["here"] and found["estimate"]["disk"] == 6
    unknown = fit(engine="vosk", model="me/vosk-x")
    assert (unknown["model"]["known_from"], unknown["estimate"]["disk"]) == ("assumed", 250)
