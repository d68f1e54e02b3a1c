// Copyright (c) 2026, the anklume.stt authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Opens pages as somebody who trusts the internal authority, and says for each what stands there or why it was refused.
//
// usage: node visit.mjs PROFILE ADDRESS:PORT URL...
//
// PROFILE is a home folder whose NSS database trusts the internal authority. All names lead to ADDRESS:PORT.
// Prints {URL: "the page's text" or "net::ERR_…"}.
import { chromium } from "playwright-core";

const [profile, server, ...urls] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  env: { ...process.env, HOME: profile },
  args: [
    "--no-sandbox", // tests run as root
    `--host-resolver-rules=MAP * ${server}`,
  ],
});
const seen = {};
try {
  const page = await browser.newPage();
  for (const url of urls) {
    try {
      await page.goto(url);
      seen[url] = (await page.locator("body").innerText()).trim();
    } catch (error) {
      seen[url] = /net::ERR_\w+/.exec(error.message)?.[0] ?? error.message;
    }
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify(seen));
