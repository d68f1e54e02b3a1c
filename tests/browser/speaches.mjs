// Copyright (c) 2026, the anklume.stt authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Uses the web page of Speaches as somebody does: the key, a file transcribed, and a sentence spoken where VOICE is given.
//
// usage: node speaches.mjs URL KEY FILE MODEL [VOICE SPEAKER TEXT]
//
// MODEL transcribes, VOICE is a model that speaks, as SPEAKER. Prints what is heard, the base64 of what is spoken, and what the page
// wanted from elsewhere.
import { chromium } from "playwright-core";

const [url, key, file, model, voice, speaker, text] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox"], // tests run as root
});
const seen = { elsewhere: [], heard: "", spoken: "" };

async function choose(label, value) {
  const box = page.getByLabel(label, { exact: true }).filter({ visible: true });
  await box.click();
  await page.getByRole("option", { name: value, exact: true }).filter({ visible: true }).click();
}

// the text of a field, once it has stood still for a second
async function filled(field) {
  for (let before = ""; ; ) {
    await page.waitForTimeout(1000);
    const value = await field.inputValue();
    if (value && value === before) return value;
    before = value;
  }
}

const page = await browser.newPage({ ignoreHTTPSErrors: true });
page.setDefaultTimeout(60_000);
// what is blocked by the page's policy is no answer
page.on("response", (response) => {
  if (new URL(response.url()).origin !== new URL(url).origin && /^http/.test(response.url())) seen.elsewhere.push(response.url());
});
try {
  await page.goto(url);
  await page.getByLabel("API Key (Optional)").fill(key);
  await page.getByRole("tab", { name: "Speech-to-Text" }).click();
  await page.locator("[role=tabpanel]:visible input[type=file]").first().setInputFiles(file);
  await page.locator("[role=tabpanel]:visible [aria-label=Play]").waitFor();
  await choose("Model", model);
  await page.getByRole("button", { name: "Generate", exact: true }).click();
  seen.heard = await filled(page.getByLabel("Textbox").filter({ visible: true }));
  if (voice) {
    await page.getByRole("tab", { name: "Text-to-Speech" }).click();
    await page.getByLabel("Input Text").fill(text);
    await choose("Model", voice);
    await choose("Voice", speaker);
    const sent = page.waitForResponse((response) => /file=.*\.wav$/.test(response.url()) && response.ok());
    await page.getByRole("button", { name: "Generate Speech" }).click();
    seen.spoken = (await (await sent).body()).toString("base64");
    await page.locator("[role=tabpanel]:visible [aria-label=Play]").waitFor();
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify(seen));
