// Copyright (c) 2026, the anklume.stt authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// A person at Chromium who is signed in to Open WebUI, with a microphone that plays a file once.
import { existsSync, readFileSync } from "node:fs";
import { chromium } from "playwright-core";

// Runs `does` on the chat page; the page fails with a picture of it. On stderr stand the seconds of each step.
export async function signedIn({ profile, url, email, passwordFile, clip, screenshots }, does) {
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

    await does({ page, step, shot, elsewhere, sockets });
  } catch (error) {
    await shot("failed").catch(() => {});
    throw error;
  } finally {
    await browser.close();
  }
}
