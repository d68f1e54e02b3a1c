// Copyright (c) 2026, the anklume.stt authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// What OpenAI's library for Node gets from a server, as JSON. usage: node openai.mjs ADDRESS KEY CLIPS
import fs from "node:fs";
import OpenAI, { toFile } from "openai";

const [baseURL, apiKey, clips] = process.argv.slice(2);
const { audio, models } = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const fox = () => fs.createReadStream(`${clips}/en-fox.wav`);
const model = "whisper-1";
const got = { formats: {}, errors: [] };

for (const response_format of ["json", "text", "verbose_json", "srt", "vtt"])
  got.formats[response_format] = await audio.transcriptions.create({ model, file: fox(), response_format });

const response_format = "verbose_json";
const verbose = await audio.transcriptions.create({ model, file: fox(), response_format, timestamp_granularities: ["word"] });
got.words = verbose.words.map((word) => word.word);

got.stream = "";
for await (const event of await audio.transcriptions.create({ model, file: fox(), stream: true }))
  if (event.type === "transcript.text.delta") got.stream += event.delta;

const file = await toFile(fs.readFileSync(`${clips}/en-fox.wav`), "speech.wav", { type: "audio/wav" });
got.buffer = (await audio.transcriptions.create({ model, file })).text;
got.translation = (await audio.translations.create({ model, file: fs.createReadStream(`${clips}/fr-bonjour.webm`) })).text;

for (const call of [
  () => new OpenAI({ baseURL, apiKey: "wrong", maxRetries: 0 }).models.list(),
  () => models.retrieve("nobody/nothing"),
  () => audio.transcriptions.create({ model, file: fox(), response_format: "xml" }),
  async () => audio.transcriptions.create({ model, file: await toFile(Buffer.from("no sound"), "a.txt") }),
])
  await call().catch((error) => got.errors.push([error.constructor.name, error.status, error.code, error.param]));

console.log(JSON.stringify(got));
