# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaches as the role runs it: endpoints, bad input, variables, and each patch against what it mends."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import pytest
from conftest import (
    CURRENT,
    FOX,
    PORT,
    STOCK,
    Answer,
    Ask,
    apply,
    in_its_place,
    refused,
    speaches_itself,
    thorough,
    transcribe,
    wait,
)
from suite import ROOT

FULL = 8102
FRENCH = "fr-bonjour.wav"
LARGE = "/srv/clips/large.txt"
IMPORTED = (
    "aiortc, aiostream, av, cachetools, fastapi, faster_whisper, gradio, httpx, httpx_sse, httpx_ws, huggingface_hub,"
    " kokoro_onnx, numpy, onnx_asr, onnx_diarization, onnxruntime, openai, opentelemetry, piper, pydantic,"
    " pydantic_settings, soundfile, starlette"
)

SLOW = """
import json, socket, sys
head = (b"POST /v1/audio/transcriptions HTTP/1.1\\r\\nHost: x\\r\\nContent-Type: multipart/form-data; boundary=b\\r\\n"
        b"Authorization: Bearer " + sys.argv[2].encode() + b"\\r\\nContent-Length: 9000\\r\\n\\r\\n--b")
def opened(said):
    connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    connection.sendall(said)
    return connection
begun = {"slow": [opened(head) for _ in range(12)], "idle": [opened(b"GET /hea") for _ in range(20)]}
print(json.dumps({kind: [each.recv(12).decode() for each in every] for kind, every in begun.items()}))
"""


class TestEndpoints:
    def test_open_to_all(self, ask: Ask) -> None:
        assert ask("/health", key=None).status == 200
        assert ask("/openapi.json", key=None).status == 200

    @pytest.mark.parametrize(
        "path", ["/v1/models", pytest.param("/api/ps", marks=speaches_itself), "/v1/audio/transcriptions"]
    )
    def test_asks_for_the_key(self, ask: Ask, path: str) -> None:
        fields = {"file": "@/srv/clips/en-fox.wav", "model": "whisper-1"} if "audio" in path else {}
        for wrong in (None, "wrong"):
            assert ask(path, key=wrong, **fields).status == 403

    def test_each_key_opens(self, ask: Ask, project: Path) -> None:
        made = (project / "secrets/mspc-ai-stt-key-phone").read_text()
        for key in (made, "tablet-4711"):
            assert ask("/v1/models", key=key).status == 200

    @pytest.mark.parametrize(("sent", "status"), [("tablet-4711", 101), ("wrong", 403)])
    def test_each_key_opens_the_websocket(self, ask: Ask, sent: str, status: int) -> None:
        headers = "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"
        options = [
            f"-H{line}" for line in (*headers, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", f"X-API-Key: {sent}")
        ]
        assert ask("/v1/realtime?model=whisper-1", "-m3", "-o/dev/null", *options, key=None).status == status

    def test_lists_the_model(self, ask: Ask) -> None:
        assert "anklume/whisper-test" in [model["id"] for model in ask("/v1/models").json["data"]]

    @speaches_itself
    def test_tells_of_the_model(self, ask: Ask) -> None:
        assert ask("/v1/models/anklume/whisper-test").json["task"] == "automatic-speech-recognition"

    @speaches_itself
    def test_the_resident_model_is_loaded(self, ask: Ask) -> None:
        assert "anklume/whisper-test" in ask("/api/ps").json["models"]

    @speaches_itself
    def test_loads_and_unloads(self, ask: Ask) -> None:
        assert ask("/api/ps/anklume/whisper-test", "-XPOST").status == 409
        assert ask("/api/ps/anklume/whisper-test", "-XDELETE").status == 200
        assert ask("/api/ps/anklume/whisper-test", "-XDELETE").status == 404
        assert ask("/api/ps/anklume/whisper-test", "-XPOST").status == 201
        assert ask("/api/ps/nobody/nothing", "-XPOST").status == 404

    @pytest.mark.parametrize("form", ["json", "text", "verbose_json", "srt", "vtt"])
    def test_every_format(self, ask: Ask, form: str) -> None:
        answer = transcribe(ask, response_format=form)
        assert answer.status == 200
        assert FOX in (answer.json["text"] if "json" in form else answer.text)

    @speaches_itself
    def test_word_timestamps(self, ask: Ask) -> None:
        fields = {"timestamp_granularities[]": "word"}
        words = transcribe(ask, response_format="verbose_json", **fields).json["words"]
        assert [word["word"].strip(" .") for word in words] == FOX.strip(".").split()

    def test_stream(self, ask: Ask) -> None:
        events = [json.loads(line[5:]) for line in transcribe(ask, stream="true").text.splitlines() if line]
        assert FOX in "".join(event.get("delta", "") for event in events)

    @pytest.mark.parametrize(
        "fields", [{"stream": "true", "response_format": "srt"}, {"timestamp_granularities[]": "word"}]
    )
    def test_takes_what_has_no_effect(self, ask: Ask, fields: dict[str, str]) -> None:
        assert FOX in transcribe(ask, **fields).text

    @pytest.mark.parametrize("clip", ["fr-bonjour.wav", "fr-bonjour.webm"])
    def test_translates(self, ask: Ask, clip: str) -> None:
        assert transcribe(ask, clip, task="translations").json["text"] == "Hello, speech recognition works."

    @pytest.mark.parametrize(
        "name", ["whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "parrot", "anklume/whisper-test", ""]
    )
    def test_every_name_of_the_model(self, ask: Ask, name: str) -> None:
        assert transcribe(ask, model=name).json["text"] == FOX

    def test_mp3(self, ask: Ask) -> None:
        assert transcribe(ask, "en-ansible.mp3").json["text"] == "Ansible installed the speech server."

    @speaches_itself
    @pytest.mark.parametrize(
        ("clip", "fields", "status"),
        [
            ("empty.wav", {}, 415),
            ("text.wav", {}, 415),
            ("truncated.wav", {}, 415),
            ("en-fox.wav", {"language": "xx"}, 400),
            ("en-fox.wav", {"model": "nobody/nothing"}, 404),
            ("en-fox.wav", {"response_format": "xml"}, 400),
        ],
    )
    def test_bad_input(self, ask: Ask, clip: str, fields: dict[str, str], status: int) -> None:
        assert transcribe(ask, clip, **fields).status == status
        assert transcribe(ask).status == 200, "the service does not survive it"


class TestPatches:
    """Ours does what it should; Speaches alone does not: where that no longer holds, a patch is not needed any more."""

    def only_ours(self, ask: Ask, good: Callable[[Answer], bool], clip: str, **fields: Any) -> None:
        ours = transcribe(ask, clip, **fields)
        assert good(ours), ours
        theirs = transcribe(ask, clip, port=STOCK, **fields)
        assert not good(theirs), "this patch is no longer needed: Speaches does it itself"

    @pytest.mark.usefixtures("stock")
    def test_default_model(self, ask: Ask) -> None:
        answer = ask("/v1/audio/transcriptions", file="@/srv/clips/en-fox.wav")
        assert answer.json["text"] == FOX
        assert ask("/v1/audio/transcriptions", port=STOCK, file="@/srv/clips/en-fox.wav").status == 422

    @pytest.mark.usefixtures("stock")
    def test_default_language(self, ask: Ask) -> None:
        self.only_ours(
            ask,
            lambda answer: answer.json["language"] == "en",
            "fr-bonjour.wav",
            response_format="verbose_json",
        )

    @speaches_itself
    @pytest.mark.usefixtures("stock")
    def test_short_silence_is_not_decoded(self, ask: Ask, ai: Any) -> None:
        """A model that was trained on real speech invents a sentence here; the test model may keep quiet."""
        decoded = "Transcribed 5.0 seconds of audio"
        assert transcribe(ask, "silence5.wav").json["text"] == ""
        assert decoded not in ai.check_output("journalctl -b -u speaches --no-pager")
        transcribe(ask, "silence5.wav", port=STOCK)
        journal = ai.check_output("journalctl -b -u stock --no-pager")
        assert decoded in journal, "this patch is no longer needed: Speaches does it itself"

    @pytest.mark.usefixtures("stock")
    @pytest.mark.parametrize("clip", ["silence45.wav", "noise45.wav"])
    def test_silence(self, ask: Ask, clip: str) -> None:
        self.only_ours(ask, lambda answer: answer.status == 200 and answer.json["text"] == "", clip)

    @pytest.mark.parametrize("form", ["json", "text", "verbose_json", "srt", "vtt"])
    def test_silence_in_every_format(self, ask: Ask, form: str) -> None:
        answer = transcribe(ask, "silence45.wav", response_format=form)
        assert answer.status == 200
        assert (answer.json["text"] if "json" in form else answer.text.replace("WEBVTT", "").strip()) == ""
        assert transcribe(ask, "silence45.wav", task="translations").json["text"] == ""
        assert '"text":""' in transcribe(ask, "silence45.wav", stream="true").text

    @pytest.mark.parametrize(("asked", "told"), [("auto", "en"), ("fr", "fr"), ("", "en")])
    def test_silence_has_a_language(self, ask: Ask, asked: str, told: str) -> None:
        answer = transcribe(ask, "silence45.wav", response_format="verbose_json", language=asked)
        assert answer.json["language"] == told

    @pytest.mark.usefixtures("stock")
    @pytest.mark.parametrize(
        ("clip", "status"), [("zero.wav", 400), ("picture.png", 415), ("video.mp4", 415), ("unknown.wav", 415)]
    )
    def test_decoder(self, ask: Ask, clip: str, status: int) -> None:
        self.only_ours(ask, lambda answer: answer.status == status and "error" in answer.json, clip)

    @pytest.mark.usefixtures("stock")
    def test_times(self, ask: Ask) -> None:
        def good(answer: Answer) -> bool:
            times = re.findall(r"00:00:(\d\d),(\d\d\d)", answer.text)
            return bool(times) and max(int(seconds + thousandths) for seconds, thousandths in times) <= 1700

        self.only_ours(ask, good, "cut.wav", response_format="srt", without_timestamps="false")

    @pytest.mark.usefixtures("stock")
    @pytest.mark.parametrize("language", ["en-US", "EN", "english"])
    def test_language_by_any_name(self, ask: Ask, language: str) -> None:
        self.only_ours(ask, lambda answer: answer.status == 200 and FOX in answer.text, "en-fox.wav", language=language)

    @pytest.mark.usefixtures("stock")
    def test_language_detected_where_asked_for(self, ask: Ask) -> None:
        fields = {"language": "auto", "response_format": "verbose_json"}
        self.only_ours(ask, lambda answer: answer.status == 200 and answer.json["language"] == "fr", FRENCH, **fields)
        assert transcribe(ask, FRENCH, **fields | {"language": ""}).json["language"] == "en"

    @pytest.mark.usefixtures("stock")
    def test_unknown_language(self, ask: Ask) -> None:
        self.only_ours(ask, lambda answer: refused(answer, 400, "language"), "en-fox.wav", language="xx")

    @pytest.mark.usefixtures("stock")
    def test_whole_text_at_the_end_of_a_stream(self, ask: Ask) -> None:
        def whole(answer: Answer) -> bool:
            return bool(json.loads(answer.text.strip().splitlines()[-1][5:])["text"] == FOX)

        self.only_ours(ask, whole, "en-fox.wav", stream="true")

    @pytest.mark.usefixtures("stock")
    def test_every_error_has_the_body_of_openai(self, ask: Ask) -> None:
        def answers(port: int) -> list[bool]:
            key = ask("/v1/models", key="wrong", port=port)
            return [
                refused(ask("/v1/nothing", port=port), 404),
                refused(ask("/v1/models", "-XPATCH", port=port), 405),
                refused(key, 403),
                refused(transcribe(ask, port=port, response_format="xml"), 400, "response_format"),
                refused(transcribe(ask, "text.wav", port=port), 415),
                refused(transcribe(ask, port=port, prompt="<" + LARGE), 400, "prompt"),
                refused(transcribe(ask, port=port, **{"include[]": "logprobs"}), 400, "include"),
            ]

        assert all(answers(PORT))
        assert not any(answers(STOCK)), "this patch is no longer needed: Speaches does it itself"

    @pytest.mark.usefixtures("stock")
    def test_file_without_a_name(self, ask: Ask) -> None:
        fields = {"file": "</srv/clips/en-fox.wav", "model": "whisper-1"}
        assert ask("/v1/audio/transcriptions", **fields).json["text"] == FOX
        assert ask("/v1/audio/transcriptions", port=STOCK, **fields).status == 422

    @pytest.mark.usefixtures("stock")
    @pytest.mark.parametrize("path", ["/v1/audio/transcriptions/", "/audio/transcriptions"])
    def test_address_as_clients_make_it(self, ask: Ask, path: str) -> None:
        fields = {"file": "@/srv/clips/en-fox.wav", "model": "whisper-1"}
        assert ask(path, **fields).json["text"] == FOX
        assert ask(path, port=STOCK, **fields).status in (307, 404)

    @pytest.mark.usefixtures("stock")
    @pytest.mark.parametrize("header", ["X-API-Key: ", "api-key: "])
    def test_key_in_other_headers(self, ask: Ask, key: str, header: str) -> None:
        assert ask("/v1/models", "-H", header + key, key=None).status == 200
        assert ask("/v1/models", "-H", header + key, key=None, port=STOCK).status == 403

    @pytest.mark.usefixtures("stock")
    def test_no_page_loads_anything_from_elsewhere(self, ask: Ask) -> None:
        page = ask("/docs", "-i", key=None)
        assert page.status == 200 and "/v1/audio/transcriptions" in page.text and "<script" not in page.text
        assert "content-security-policy: default-src 'self'" in page.text
        assert ask("/redoc", key=None).status == 404
        assert "https://cdn" in ask("/docs", key=None, port=STOCK).text

    @pytest.mark.usefixtures("stock")
    def test_a_damaged_model_names_its_file(self, ai: Any, ask: Ask) -> None:
        hub = "/var/lib/speaches/hub"
        ai.check_output(f"cp -a {hub}/models--anklume--whisper-test {hub}/models--anklume--broken")
        file = ai.check_output(f"ls {hub}/models--anklume--broken/snapshots/*/tokenizer.json")
        ai.check_output(f"truncate -s 1000 $(readlink -f {file})")
        named = file.removeprefix("/var/lib/speaches/")
        try:
            answer = transcribe(ask, model="anklume/broken")
            assert refused(answer, 503) and f"{named} is damaged" in answer.json["error"]["message"], answer
            program = (
                "import logging, sys; logging.basicConfig(stream=sys.stdout); import anklume_speaches as a;"
                "a.damaged_models(); print('start'); a.load_resident(['anklume/broken'])"
            )
            said = in_its_place(ai, program).partition("start")[2].strip()
            assert f"{named} is damaged" in said and len(said.splitlines()) == 1, said
            assert not refused(transcribe(ask, model="anklume/broken", port=STOCK), 503)
        finally:
            ai.check_output(f"rm -r {hub}/models--anklume--broken")

    @pytest.mark.usefixtures("stock")
    def test_upload_limit(self, ask: Ask, ai: Any) -> None:
        ai.check_output("truncate -s 129M /srv/clips/large.wav")
        self.only_ours(ask, lambda answer: answer.status == 413, "large.wav")

    def test_slow_and_idle_clients_hold_up_nobody(self, ask: Ask, ai: Any, key: str) -> None:
        """More than there are places in the queue: others are served, and all of these are shown out."""
        ai.check_output(f"python3 -c {shlex.quote(SLOW)} {PORT} {key} >/run/slow 2>&1 & sleep 1")
        for _ in range(3):
            assert transcribe(ask).json["text"] == FOX
        for _ in range(30):
            if said := ai.run("tail -n 1 /run/slow").stdout:
                break
            time.sleep(1)
        assert json.loads(said) == {"slow": ["HTTP/1.1 408"] * 12, "idle": [""] * 20}

    def test_a_full_disk_is_said(self, ask: Ask, ai: Any) -> None:
        ai.check_output("mkdir -p /srv/full && mount -t tmpfs -o size=4M,mode=1777 tmpfs /srv/full")
        ai.check_output(
            "systemd-run --collect --unit full --property User=speaches --setenv TMPDIR=/srv/full"
            " --property EnvironmentFile=/etc/speaches/speaches.env"
            f" --property WorkingDirectory={CURRENT}/run /bin/sh -c"
            f" 'UVICORN_PORT={FULL} exec {CURRENT}/bin/python -m anklume_speaches'"
        )
        for _ in range(120):
            if ask("/health", port=FULL).status == 200:
                break
            time.sleep(0.5)
        ai.check_output("truncate -s 20M /srv/clips/much.wav")
        answer = transcribe(ask, "much.wav", port=FULL)
        assert (answer.status, answer.json["error"]["code"]) == (507, "no_storage")
        assert transcribe(ask, port=FULL).json["text"] == FOX
        assert ai.check_output("df --output=used /srv/full | tail -n 1").strip() == "0"
        ai.check_output("systemctl stop full && umount /srv/full")

    @speaches_itself
    @pytest.mark.usefixtures("stock")
    def test_heap_is_frozen(self, ai: Any, ask: Ask) -> None:
        """The time of a request tells whether garbage collection walks the heap of all libraries."""

        def seconds(port: int) -> float:
            times = []
            for _ in range(5):
                start = time.monotonic()
                transcribe(ask, port=port)
                times.append(time.monotonic() - start)
            return sorted(times)[2]

        seconds(PORT), seconds(STOCK)
        assert seconds(PORT) < 0.8 * seconds(STOCK)

    @pytest.mark.parametrize("signal", ["INT", "TERM"])
    def test_clean_stop(self, ai: Any, ask: Ask, signal: str) -> None:
        start = ai.check_output("systemctl show -P MainPID speaches")
        began = time.monotonic()
        ai.check_output(f"kill -{signal} {start}")
        while ai.run(f"test -e /proc/{start}").rc == 0:
            assert time.monotonic() - began < 25, f"SIG{signal} does not end the service"
            time.sleep(0.5)
        ai.check_output("systemctl start speaches")
        wait(ask)

    @speaches_itself
    @pytest.mark.usefixtures("stock")
    def test_stock_hangs_on_sigint(self, ai: Any, ask: Ask) -> None:
        """What test_clean_stop mends: the timer of the model's TTL keeps Speaches alive."""
        transcribe(ask, port=STOCK)
        pid = ai.check_output("systemctl show -P MainPID stock")
        ai.check_output(f"kill -INT {pid}")
        time.sleep(25)
        assert ai.run(f"test -e /proc/{pid}").rc == 0, "this patch is no longer needed: Speaches stops by itself"
        ai.run("systemctl kill -s KILL stock")


class TestVariables:
    """No variable may be ignored: Speaches does so in silence with what it does not know."""

    @speaches_itself
    def test_every_setting_is_one_of_speaches(self, ai: Any) -> None:
        program = (
            "import json; from speaches.config import Config; c = Config(); d = c.model_dump(mode='json');"
            "print(json.dumps({'fields': [(f.alias or n).upper() for n, f in Config.model_fields.items()]"
            "+ ['WHISPER__' + n.upper() for n in type(c.whisper).model_fields], 'values': d}))"
        )
        seen = json.loads(in_its_place(ai, program))
        names = set(re.findall(r"^(\w+)=", ai.check_output("cat /etc/speaches/speaches.env"), re.M))
        module = ai.check_output(f"cat {CURRENT}/lib/python3.13/site-packages/anklume_spe*.py")
        ours = {f"ANKLUME_{name}" for name in re.findall(r'setting\("(\w+)"', module)}
        uvicorn = ai.check_output(f"{CURRENT}/bin/python -m uvicorn --help")
        of_uvicorn = {f"UVICORN_{name.upper().replace('-', '_')}" for name in re.findall(r"--([a-z-]+)", uvicorn)}
        libraries = {"HF_HOME", "HF_HUB_OFFLINE", "MALLOC_ARENA_MAX", "DO_NOT_TRACK", "GRADIO_ANALYTICS_ENABLED"}
        reporters = {"HF_HUB_DISABLE_TELEMETRY", "ORT_DISABLE_TELEMETRY"}
        assert names - set(seen["fields"]) - ours - of_uvicorn - libraries == reporters
        values = seen["values"]
        assert values["whisper"] == {
            "inference_device": "cpu",
            "device_index": 0,
            "compute_type": "int8",
            "cpu_threads": 1,
            "num_workers": 2,
        }
        assert (values["stt_model_ttl"], values["tts_model_ttl"], values["vad_model_ttl"]) == (600, 30, 900)
        assert values["allow_origins"] == ["https://app.example.org"]
        assert values["api_key"] == "**********"
        assert (values["enable_ui"], values["log_level"]) == (False, "info")

    def test_cors(self, ask: Ask) -> None:
        preflight = ["-XOPTIONS", "-i", "-H", "Access-Control-Request-Method: POST", "-H"]
        assert "app.example.org" in ask("/v1/models", *preflight, "Origin: https://app.example.org").text
        assert "allow-origin" not in ask("/v1/models", *preflight, "Origin: https://other.example.org").text

    def test_what_waits_is_served_and_what_is_more_is_refused(self, ai: Any, key: str) -> None:
        """Two workers and a queue of six: eight at once are taken, some of 24 are told when to come back."""
        one = (
            f"curl -s -o /dev/null -w '%{{http_code}} %header{{retry-after}}\\n' -H 'Authorization: Bearer {key}'"
            f" http://127.0.0.1:{PORT}/v1/audio/transcriptions -F file=@/srv/clips/noise45.wav -F model=whisper-1"
        )
        for requests, statuses in ((8, {"200"}), (24, {"200", "503"})):
            answers = ai.check_output(f"for i in $(seq {requests}); do {one} & done; wait").splitlines()
            assert {answer.split(" ")[0] for answer in answers} == statuses
            assert all(int(answer.split(" ")[1]) >= 1 for answer in answers if answer.startswith("503"))

    def test_numpy_has_one_thread(self, ai: Any) -> None:
        program = (
            "import anklume_speaches, ctypes, numpy, pathlib;"
            "library, = (pathlib.Path(numpy.__file__).parent.parent / 'numpy.libs').glob('*openblas*');"
            "print(ctypes.CDLL(str(library)).scipy_openblas_get_num_threads64_())"
        )
        assert in_its_place(ai, program) == "1"

    def test_batch_and_beam(self, ai: Any) -> None:
        program = (
            "import anklume_speaches as a, faster_whisper as f; seen = {};"
            "f.BatchedInferencePipeline.transcribe = lambda s, *p, **o: seen.update(o) or ((), None);"
            "a.batch_beam_and_times(); kind = a.whisper.BatchedInferencePipeline;"
            "kind(a.SimpleNamespace(shorts=())).transcribe(bytes(960_000), task='transcribe');"
            "print(seen['batch_size'], seen['beam_size'])"
        )
        assert in_its_place(ai, program) == "4 1"


@thorough
def test_off_is_off_and_what_is_the_users_stays(ai: Any, ask: Ask, project: Path, tmp_path: Path) -> None:
    """stt_server_enabled, stt_server_unit_template and a drop-in, and back again."""
    template = tmp_path / "own.service.j2"
    unit = (ROOT / "roles/stt_server/templates/speaches.service.j2").read_text()
    template.write_text(unit.replace("TasksMax=512", "TasksMax=256"))
    drop_in = "/etc/systemd/system/speaches.service.d/own.conf"
    ai.check_output(f"mkdir -p $(dirname {drop_in}) && printf '[Service]\nNice=5\n' > {drop_in}")
    status, output = apply(project, stt_server_enabled=False, stt_server_unit_template=str(template))
    assert status == 0, output
    service = ai.service("speaches")
    assert not service.is_running
    assert not service.is_enabled
    seen = ai.check_output("systemctl show -P TasksMax -P Nice speaches").split()
    assert sorted(seen) == ["256", "5"]
    status, output = apply(project)
    assert status == 0, output
    assert service.is_running
    assert service.is_enabled
    seen = ai.check_output("systemctl show -P TasksMax -P Nice speaches").split()
    assert sorted(seen) == ["5", "512"]
    ai.check_output(f"rm {drop_in} && systemctl daemon-reload")
    wait(ask)


class TestPackages:
    def test_exactly_the_pinned_ones_are_there(self, ai: Any) -> None:
        pins = (ROOT / "roles/stt_server/files/speaches/requirements-py313.txt").read_text()
        program = (
            "import importlib.metadata as m, json;"
            "print(json.dumps({d.name.lower().replace('_', '-'): d.version for d in m.distributions()}))"
        )
        installed = json.loads(in_its_place(ai, program))
        assert {name.replace(".", "-"): version for name, version in installed.items()} == dict(
            re.findall(r"^([\w-]+)==(\S+)", pins, re.M)
        )

    def test_they_work_together(self, ai: Any) -> None:
        """All that the pinned version imports."""
        assert "imported" in in_its_place(ai, f"import {IMPORTED}; print('imported')")


def exposure(ai: Any, unit: str) -> float:
    """What systemd-analyze says of a unit."""
    report = ai.check_output(f"systemd-analyze security --no-pager {unit}")
    found = re.search(r"Overall exposure level for .*: ([\d.]+)", report)
    assert found, report
    return float(found.group(1))


class TestUnit:
    def test_is_hardened(self, ai: Any) -> None:
        assert exposure(ai, "speaches") <= 1.5

    def test_is_hardened_with_a_gpu(self, ai: Any) -> None:
        """The unit for a GPU, rendered here, since there is none."""
        environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.ChainableUndefined)
        environment.filters["comment"] = str
        template = environment.from_string((ROOT / "roles/stt_server/templates/speaches.service.j2").read_text())
        unit = template.render(__stt_server_device="cuda", __stt_server_checks_cuda=True, stt_server_hub_offline=True)
        assert "cuda_check" in unit
        assert "PrivateDevices" not in unit
        ai.check_output(f"cat > /run/gpu.service <<'END'\n{unit}\nEND")
        assert exposure(ai, "--offline=true /run/gpu.service") <= 2.0

    def test_memory_limit(self, ai: Any) -> None:
        assert ai.check_output("systemctl show -P MemoryMax speaches") == str(3 * 2**30)

    def test_files(self, ai: Any) -> None:
        seen = ai.check_output("systemctl show -P LimitNOFILE -P Environment speaches").split()
        assert {"4096", "TMPDIR=/var/tmp"} <= set(seen)

    def test_no_secret_leaks(self, ai: Any, key: str) -> None:
        assert ai.check_output("stat -c '%a %U %G' /etc/speaches/speaches.env") == "640 root speaches"
        assert key not in ai.check_output("journalctl -u speaches --no-pager; ps axww")
        assert FOX not in ai.check_output("journalctl -u speaches --no-pager")
