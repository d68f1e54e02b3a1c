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
import { existsSync, readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const [profile, url, email, passwordFile, clip, screenshots] = process.argv.slice(2);
const session = `${profile}/session.json`;
const start = Date.now();
const step = (name) => console.error(`${((Date.now() - start) / 1000).toFixed(1)} s: ${name}`);
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  env: { ...process.env, HOME: profile },
  args: [
    "--no-sandbox", // tests run as root
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    `--use-file-for-fake-audio-capture=${clip}%noloop`,
  ],
});
step("browser");
const page = await browser.newPage({
  viewport: { width: 880, height: 440 },
  locale: "en-US",
  reducedMotion: "reduce",
  storageState: existsSync(session) ? session : undefined,
});
page.setDefaultTimeout(120_000);
const elsewhere = new Set(); // what the page asks of any other host
page.on("request", (request) => {
  const address = new URL(request.url());
  if (address.protocol.startsWith("http") && address.origin !== new URL(url).origin) elsewhere.add(address.origin);
});
const sockets = new Set(); // WebSockets on which something came
page.on("websocket", (socket) => socket.on("framereceived", () => sockets.add(new URL(socket.url()).origin)));
page.on("pageerror", (error) => console.error(`error on the page: ${error.message}`));
page.on("requestfailed", (request) => console.error(`${request.failure().errorText}: ${request.url()}`));
const shot = (name) => page.screenshot({ path: `${screenshots}/${name}.png` });
// news of the release stand in the way after the first sign-in
const news = page.getByRole("button", { name: "Okay, Let's Go!" });
await page.addLocatorHandler(news, () => news.click());
try {
  if (existsSync(session)) {
    await page.goto(url);
  } else {
    await page.goto(`${url}/auth`);
    await page.locator('input[type="email"]').fill(email);
    await page.locator('input[type="password"]').fill(readFileSync(passwordFile, "utf8").trim());
    step("sign-in page");
    await page.locator('button[type="submit"]').click();
  }
  await page.locator("#chat-input").waitFor();
  await page.context().storageState({ path: session });
  step("chat page");

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
} catch (error) {
  await shot("failed").catch(() => {});
  throw error;
} finally {
  await browser.close();
}
