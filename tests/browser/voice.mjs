// Copyright (c) 2026, the anklume.stt authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// What a person does: opens the page over HTTPS, signs in, presses the microphone, speaks, presses again, reads the sentence.
//
// usage: node voice.mjs PROFILE URL EMAIL PASSWORD_FILE CLIP.wav SCREENSHOTS        prints {"chat_input": ..., "audio_page": ...}
//
// PROFILE is a home folder whose NSS database trusts the internal authority. CLIP has to be at 48 kHz; it is spoken once.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const [profile, url, email, passwordFile, clip, screenshots] = process.argv.slice(2);
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
const page = await browser.newPage({ viewport: { width: 1100, height: 720 }, locale: "en-US" });
page.setDefaultTimeout(240_000);
const shot = (name) => page.screenshot({ path: `${screenshots}/${name}.png` });
// news of the release stand in the way after the first sign-in
const news = page.getByRole("button", { name: "Okay, Let's Go!" });
await page.addLocatorHandler(news, () => news.click());
try {
  await page.goto(`${url}/auth`);
  await page.locator('input[type="email"]').fill(email);
  await page.locator('input[type="password"]').fill(readFileSync(passwordFile, "utf8").trim());
  await page.locator('button[type="submit"]').click();
  await page.locator("#chat-input").waitFor();

  const secure = await page.evaluate(() => window.isSecureContext);
  await page.locator("#voice-input-button").click();
  await page.locator("#confirm-recording-button").waitFor();
  await page.waitForTimeout(Number(process.env.SPEAK_MS ?? 5000));
  await shot("recording");
  await page.locator("#confirm-recording-button").click();
  // the recording's bar gives way to the input again, with the sentence in it or without
  await page.locator("#confirm-recording-button").waitFor({ state: "detached" });
  await page.waitForTimeout(1500);
  const chatInput = (await page.locator("#chat-input").innerText()).trim();
  await shot("sentence");

  await page.goto(`${url}/admin/settings/audio`);
  await page.locator('input[placeholder="API Base URL"]').first().waitFor();
  const audioPage = await page.locator("input").evaluateAll((inputs) => inputs.filter((i) => i.type !== "password").map((i) => i.value));
  await shot("audio-settings");
  console.log(JSON.stringify({ secure, chat_input: chatInput, audio_page: audioPage.filter(Boolean) }));
} catch (error) {
  await shot("failed");
  throw error;
} finally {
  await browser.close();
}
