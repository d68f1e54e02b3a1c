# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech out of Speaches: each fault that is mended, each form of sound, bad input, and clients that leave or wait."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import CURRENT, FOX, PORT, STOCK, Answer, Ask, apply, in_its_place, refused, transcribe, wait
from suite import long

MODEL = "anklume/piper-en_US-joe-medium"
FORMS = {"mp3": "mp3", "opus": "opus", "aac": "aac", "flac": "flac", "wav": "pcm_s16le"}
SECONDS = (2.0, 4.0)  # of the sentence, as joe says it; no two times are alike
OUT = "/srv/clips/spoken"

CLIENT = """
import os, sys, time
from openai import OpenAI
client = OpenAI(base_url=sys.argv[1], api_key=os.environ["API_KEY"], max_retries=0)
times = []
text = "This is one sentence of a longer answer, which goes on for a while. " * 12
with client.audio.speech.with_streaming_response.create(model="tts-1", voice="alloy", input=text[:490],
        response_format="pcm", stream_format=sys.argv[2]) as answer:
    for part in answer.iter_bytes():
        times.append(time.monotonic())
print(len(times), times[-1] - times[0])
"""
LISTENER = """
import os, sys, time
from openai import OpenAI
client = OpenAI(base_url=sys.argv[1], api_key=os.environ["API_KEY"], max_retries=0)
times, texts = [], []
with open("/srv/clips/long.wav", "rb") as sound:
    for event in client.audio.transcriptions.create(model="whisper-1", file=sound, stream=True):
        times.append(time.monotonic())
        texts.append(getattr(event, "delta", ""))
print("".join(texts).count("lazy dog"), times[-1] - times[0])
"""


def speak(ask: Ask, *options: str, port: int = PORT, key: str | None = "", **fields: Any) -> Answer:
    """What the server answers to a text; a field that is None is left out."""
    given = {"model": "tts-1", "voice": "alloy", "input": FOX} | fields
    body = json.dumps({name: value for name, value in given.items() if value is not None})
    options = ("-H", "Content-Type: application/json", "-d", body, *options)
    return ask("/v1/audio/speech", *options, port=port, **({} if key == "" else {"key": key}))


def spoken(ai: Any, ask: Ask, form: str, **fields: Any) -> float:
    """The seconds of sound in a file that the server speaks."""
    assert speak(ask, "-o", f"{OUT}.{form}", response_format=form, **fields).status == 200
    if form == "pcm":
        return int(ai.check_output(f"stat -c %s {OUT}.pcm")) / 2 / 24000
    probe = "ffprobe -v error -select_streams a -show_entries stream=codec_name -of csv=p=0"
    assert ai.check_output(f"{probe} {OUT}.{form}").strip() == FORMS[form]
    # decoded, since not every container says how long it is
    ai.check_output(f"ffmpeg -y -v error -i {OUT}.{form} -ar 24000 -f s16le {OUT}.decoded")
    return int(ai.check_output(f"stat -c %s {OUT}.decoded")) / 2 / 24000


class TestPatches:
    """Ours does what it should; Speaches alone does not."""

    @pytest.mark.usefixtures("stock")
    def test_opus(self, ai: Any, ask: Ask) -> None:
        assert SECONDS[0] < spoken(ai, ask, "opus") < SECONDS[1]
        ai.check_output(f": > {OUT}.none")  # curl makes no file of no bytes
        speak(ask, "-o", f"{OUT}.none", port=STOCK, response_format="opus")
        assert ai.check_output(f"stat -c %s {OUT}.none") == "0", "this patch is no longer needed"

    @pytest.mark.usefixtures("stock")
    def test_bad_speed(self, ask: Ask) -> None:
        assert refused(speak(ask, speed=9), 400, "speed")
        assert speak(ask, "-o", "/dev/null", port=STOCK, speed=9).status in (0, 200), "this patch is no longer needed"

    @pytest.mark.usefixtures("stock")
    def test_length_of_a_wav(self, ai: Any, ask: Ask) -> None:
        said = []
        for port in (PORT, STOCK):
            speak(ask, "-o", f"{OUT}.wav", port=port, response_format="wav")
            said.append(ai.check_output(f"od -An -tu4 -j4 -N4 {OUT}.wav; stat -c %s {OUT}.wav").split())
        (ours, size), (theirs, _) = said
        assert int(ours) == int(size) - 8
        assert theirs == str(2**32 - 1), "this patch is no longer needed"

    @pytest.mark.usefixtures("stock")
    def test_default_model_and_voice(self, ask: Ask) -> None:
        assert speak(ask, "-o", "/dev/null", model=None, voice=None).status == 200
        assert speak(ask, port=STOCK, model=None, voice=None).status == 422, "this patch is no longer needed"

    @pytest.mark.usefixtures("stock")
    @pytest.mark.parametrize("path", ["/v1/audio/voices", "/v1/audio/models"])
    def test_voices_are_listed_without_a_key(self, ask: Ask, path: str) -> None:
        """Open WebUI asks without one, and shows OpenAI's voices where it is refused."""
        assert "joe" in ask(path, key=None).text
        assert ask(path, key=None, port=STOCK).status == 403, "this patch is no longer needed"

    def test_a_resident_voice(self, ai: Any) -> None:
        program = (
            "import anklume_speaches as a; a.load_resident([NAME]);"
            "print([list(e.model_manager.loaded_models) for e in a.get_executor_registry().text_to_speech][0])"
        )
        assert MODEL in in_its_place(ai, program.replace("NAME", repr(MODEL)))


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_every_form_of_sound_is_whole(ai: Any, ask: Ask, form: str) -> None:
    assert SECONDS[0] < spoken(ai, ask, form) < SECONDS[1]


def test_what_is_spoken_is_heard_back(ask: Ask) -> None:
    assert speak(ask, "-o", f"{OUT}.flac", response_format="flac").status == 200
    assert transcribe(ask, "spoken.flac").json["text"] == FOX


def test_speed(ai: Any, ask: Ask) -> None:
    assert spoken(ai, ask, "pcm", speed=2) < 0.7 * spoken(ai, ask, "pcm")


@pytest.mark.parametrize(
    ("name", "voice"), [("tts-1", "joe"), ("tts-1-hd", "nova"), ("gpt-4o-mini-tts", {"id": "joe"}), (MODEL, None)]
)
def test_every_name_of_model_and_voice(ask: Ask, name: str, voice: object) -> None:
    assert speak(ask, "-o", "/dev/null", model=name, voice=voice, input="Yes.").status == 200


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"voice": "nobody"}, 400, "voice"),
        ({"speed": "fast"}, 400, "speed"),
        ({"input": ""}, 400, "input"),
        ({"input": " \n"}, 400, "input"),
        ({"input": None}, 400, "input"),
        ({"input": "x" * 501}, 400, "input"),
        ({"model": "whisper-1"}, 404, "model"),
        ({"model": "nobody/nothing"}, 404, "model"),
        ({"response_format": "midi"}, 400, "response_format"),
        ({"response_format": "opus", "sample_rate": 22050}, 400, "sample_rate"),
        ({"stream_format": "smoke"}, 400, "stream_format"),
    ],
)
def test_bad_input_is_refused_before_any_sound(ask: Ask, fields: dict[str, Any], status: int, param: str) -> None:
    assert refused(speak(ask, **fields), status, param)


def test_markdown_and_emoji_are_no_error(ai: Any, ask: Ask) -> None:
    assert SECONDS[0] < spoken(ai, ask, "pcm", input=f"## **{FOX}** 🎉") < SECONDS[1]
    assert spoken(ai, ask, "mp3", input="👍") < 1


def test_asks_for_the_key(ask: Ask) -> None:
    for wrong in (None, "wrong"):
        assert speak(ask, key=wrong).status == 403


def test_events(ask: Ask) -> None:
    answer = speak(ask, stream_format="sse")
    kinds = [json.loads(line[6:])["type"] for line in answer.text.splitlines() if line]
    assert set(kinds[:-1]) == {"speech.audio.delta"} and kinds[-1] == "speech.audio.done"


def cpu(ai: Any) -> int:
    """What the service has used of the processor, in hundredths of a second."""
    pid = ai.check_output("systemctl show -P MainPID speaches")
    fields = ai.check_output(f"cat /proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_client_that_leaves_stops_the_speech(ai: Any, ask: Ask) -> None:
    text = ("This is one sentence of a longer answer, which goes on for a while. " * 8)[:490]
    before = cpu(ai)
    speak(ask, "-o", "/dev/null", input=text, response_format="pcm")
    whole = cpu(ai) - before
    before = cpu(ai)
    speak(ask, "-o", "/dev/null", "-m", "0.3", input=text, response_format="pcm")
    time.sleep(3)
    assert cpu(ai) - before < 0.8 * whole
    assert "the client left, and is spoken to no more" in ai.check_output("journalctl -u speaches -n 50 --no-pager")


def test_speech_goes_behind_what_is_heard(ai: Any, ask: Ask) -> None:
    """Threads of the service have another place than the rest of it, and the unit lets them take it."""
    speak(ask, "-o", "/dev/null", input="Yes.")
    pid = ai.check_output("systemctl show -P MainPID speaches")
    service, *places = (
        int(line.rpartition(")")[2].split()[16])
        for line in ai.check_output(f"cat /proc/{pid}/stat /proc/{pid}/task/*/stat").splitlines()
    )
    assert set(places) == {service, 10}


@pytest.fixture(scope="module")
def proxy(ai: Any) -> Iterator[str]:
    """Caddy, as Debian has it, in front of the server."""
    ai.check_output("apt-get -qy install --no-install-recommends caddy && systemctl stop caddy")
    ai.check_output(
        f"systemd-run --collect --unit proxy /usr/bin/caddy reverse-proxy --from http://:8180 --to 127.0.0.1:{PORT}"
    )
    time.sleep(2)
    yield "http://127.0.0.1:8180/v1"
    ai.run("systemctl stop proxy")


def official(ai: Any, program: str, *arguments: str) -> tuple[int, float]:
    """What a program with OpenAI's own client prints, which has the service's key: how many, in what time."""
    place = f"cd {CURRENT}/run && set -a && . /etc/speaches/speaches.env"
    count, seconds = ai.check_output(f"{place} && {CURRENT}/bin/python -c {shlex.join((program, *arguments))}").split()
    return int(count), float(seconds)


@long
@pytest.mark.parametrize("form", ["audio", "sse"])
def test_the_first_sound_comes_before_the_last_through_a_proxy(ai: Any, proxy: str, form: str) -> None:
    parts, seconds = official(ai, CLIENT, proxy, form)
    assert parts > 1 and seconds > 0.3


@long
def test_the_first_words_come_before_the_last_through_a_proxy(ai: Any, proxy: str) -> None:
    ai.check_output("cd /srv/clips && ffmpeg -y -v error -stream_loop 299 -i en-fox.wav long.wav")
    sentences, seconds = official(ai, LISTENER, proxy)
    assert sentences > 25 and seconds > 1  # of what is said over and over the test model hears one in each window


def all_of_it(ai: Any) -> list[str]:
    """The files of the service, and what those hold that are no program; who had a lock last, and when, is left out."""
    kept = "/etc/speaches /etc/systemd/system /var/lib/speaches"
    named = f"find {kept} /opt/stt-server -name __pycache__ -prune -o -printf '%p %u %g %m %l\\n'"
    held = f"find {kept} -type f ! -name .lock ! -name anklume.json -exec sha256sum {{}} +"
    return sorted(ai.check_output(f"{named} && {held}").splitlines())


@long
@pytest.mark.timeout(900)
def test_off_and_on_again_leaves_nothing_behind(ai: Any, ask: Ask, project: Path) -> None:
    off = {"stt_server_tts_models": [], "stt_server_tts_sources": {}, "stt_server_remove_models": True}
    seen = [all_of_it(ai)]
    for variables in (off, {}, off, {}):
        status, output = apply(project, **variables)
        assert status == 0, output
        wait(ask)
        seen.append(all_of_it(ai))
    first, silent, spoken_again, silent_again, last = seen
    assert silent == silent_again and first == spoken_again == last
    assert not [line for line in silent if "piper-" in line and "/opt/" not in line]
    assert [line for line in first if "piper-en_US-joe-medium" in line]
