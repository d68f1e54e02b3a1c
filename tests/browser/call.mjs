// Copyright (c) 2026, the anklume.stt authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// A call: somebody signs in, presses "Voice mode", speaks, is silent, and hears the answer.
//
// usage: node call.mjs PROFILE URL EMAIL PASSWORD_FILE CLIP.wav SCREENSHOTS
//
// As voice.mjs. SCREENSHOTS gets the picture of the call and the answer as it was played, answer.wav. Prints {"heard": what was
// understood, "answer": what stands in the chat, "played": {"seconds": ..., "type": ...}, "waited": ..., "after_silence": ...,
// "parts": {...}, "elsewhere": [...]}; waited are the seconds from the end of the speech to the first sound, after_silence those of them
// that follow the 2 s of silence by which the page knows that somebody has ended. parts are what they are made of: that silence, until
// the text is back, until the page has a sentence of the answer to be spoken, until its sound is there, until it is heard.
import { writeFileSync } from "node:fs";
import { signedIn } from "./person.mjs";

const [profile, url, email, passwordFile, clip, screenshots] = process.argv.slice(2);
await signedIn({ profile, url, email, passwordFile, clip, screenshots }, async ({ page, step, shot, elsewhere }) => {
  await page.evaluate(() => {
    // what the page hears, when it takes it for the end, and what it plays; not the blink of silence with which it asks whether it may
    const seen = (window.seen = { playing: [], ended: 0 });
    const look = AnalyserNode.prototype.getByteFrequencyData;
    AnalyserNode.prototype.getByteFrequencyData = function (data) {
      look.call(this, data);
      if (data.some((value) => value > 0)) seen.sound = Date.now();
    };
    const stop = MediaRecorder.prototype.stop;
    MediaRecorder.prototype.stop = function () {
      seen.silence ??= Date.now();
      seen.end ??= seen.sound;
      stop.call(this);
    };
    const sounds = ({ target }) => target.duration > 0.1;
    const keep = ({ target }) => seen.playing.push({ at: Date.now(), seconds: target.duration, url: target.currentSrc });
    document.addEventListener("playing", (event) => sounds(event) && keep(event), true);
    document.addEventListener("ended", (event) => (seen.ended += sounds(event)), true);
  });
  // by the same clock
  const at = {};
  page.on("request", (request) => {
    if (request.url().endsWith("/audio/speech")) at.answered ??= Date.now();
  });
  page.on("requestfinished", (request) => {
    if (request.url().endsWith("/audio/transcriptions")) at.heard ??= Date.now();
    if (request.url().endsWith("/audio/speech")) at.spoken ??= Date.now();
  });
  const understood = page.waitForResponse((response) => response.url().endsWith("/api/v1/audio/transcriptions"));
  await page.getByRole("button", { name: "Voice mode" }).click();
  step("call");
  const heard = (await (await understood).json()).text;
  step(`understood: ${heard}`);
  await page.waitForFunction(() => window.seen.playing.length);
  await shot("call");
  await page.waitForFunction(() => window.seen.ended);
  step("answered");
  const seen = await page.evaluate(() => window.seen);
  const [first] = seen.playing;
  // the very bytes that the page's audio element played
  const sound = await page.evaluate(async (address) => {
    const blob = await (await fetch(address)).blob();
    const bytes = new Uint8Array(await blob.arrayBuffer());
    return { type: blob.type, text: btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")) };
  }, first.url);
  writeFileSync(`${screenshots}/answer.wav`, Buffer.from(sound.text, "base64"));
  const answer = (await page.locator(".chat-assistant").first().innerText()).trim();
  const played = { seconds: first.seconds, type: sound.type };
  const waited = (first.at - seen.end) / 1000;
  const afterSilence = (first.at - seen.silence) / 1000;
  const moments = [seen.end, seen.silence, at.heard, at.answered, at.spoken, first.at];
  const names = ["silence", "heard", "answered", "spoken", "played"];
  const parts = Object.fromEntries(names.map((name, index) => [name, (moments[index + 1] - moments[index]) / 1000]));
  const told = { heard, answer, played, waited, after_silence: afterSilence, parts, elsewhere: [...elsewhere] };
  console.log(JSON.stringify(told));
});
