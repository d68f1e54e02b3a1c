// Copyright (c) 2026, the anklume.stt authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// What a person does: opens the page over HTTPS, signs in, presses the microphone, speaks, presses again, reads the sentence.
//
// usage: node voice.mjs PROFILE URL EMAIL PASSWORD_FILE CLIP.wav SCREENSHOTS
//
// PROFILE is a home folder whose NSS database trusts the internal authority, and keeps the session of a first run for the
// next. CLIP has to be at 48 kHz; it is spoken once. Prints {"secure": ..., "answer": ..., "chat_input": ..., "audio_page": ...,
// "sockets": [...], "elsewhere": [...]}
// and, on stderr, the seconds of each step.
import { signedIn } from "./person.mjs";

const [profile, url, email, passwordFile, clip, screenshots] = process.argv.slice(2);
await signedIn({ profile, url, email, passwordFile, clip, screenshots }, async ({ page, step, shot, elsewhere, sockets }) => {
  const secure = await page.evaluate(() => window.isSecureContext);
  await page.locator("#voice-input-button").click();
  await page.locator("#confirm-recording-button").waitFor();
  step("recording");
  await page.waitForTimeout(Number(process.env.SPEAK_MS));
  await shot("recording");
  const answered = page.waitForResponse((response) => response.url().endsWith("/api/v1/audio/transcriptions"));
  await page.locator("#confirm-recording-button").click();
  const answer = (await (await answered).json()).text;
  step("answer");
  // the recording's bar gives way to the input again, with the sentence in it or without
  await page.locator("#confirm-recording-button").waitFor({ state: "hidden" });
  if (answer) await page.locator("#chat-input", { hasText: /\S/ }).waitFor();
  const chatInput = (await page.locator("#chat-input").innerText()).trim();
  await page.mouse.move(0, 0); // off the button, whose explanation covers the input
  await shot("sentence");
  step("chat input");

  await page.setViewportSize({ width: 1100, height: 720 });
  await page.goto(`${url}/admin/settings/audio`);
  await page.locator('input[placeholder="API Base URL"]').first().waitFor();
  // what can be read there; the API key is dotted
  const audioPage = await page
    .locator("input")
    .evaluateAll((inputs) => inputs.filter((i) => getComputedStyle(i).webkitTextSecurity === "none").map((i) => i.value));
  await shot("audio-settings");
  step("audio page");
  const more = { sockets: [...sockets], elsewhere: [...elsewhere] };
  console.log(JSON.stringify({ secure, answer, chat_input: chatInput, audio_page: audioPage.filter(Boolean), ...more }));
});
