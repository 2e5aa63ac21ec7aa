// The licences of everything in the bundle, one after the other.
import { readFile, readdir } from "node:fs/promises";
import path from "node:path";

const LICENCE = /^(licen[cs]e|copying)([.-][a-z]+)?$/i;

// Packages that were published without the file; the words are those of their repositories.
const MIT = (who) => `MIT License

Copyright (c) ${who}

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.`;
const KNOWN = new Map([
  ["seedrandom", MIT("2019 David Bau")],
  ["@cornerstonejs/core", MIT("Open Health Imaging Foundation")],
  ["@cornerstonejs/tools", MIT("Open Health Imaging Foundation")],
]);
const PERMISSIVE = /^\(?(MIT|ISC|Apache-2\.0|BSD-2-Clause|BSD-3-Clause|0BSD|MIT OR Apache-2\.0|WTFPL OR MIT)\)?$/;

export async function notices(here, packages) {
  const parts = [
    "The viewer's script, viewer.js, contains parts of the following packages. Their licences follow.",
  ];
  for (const name of packages) {
    const folder = path.join(here, "node_modules", name);
    const { version, license } = JSON.parse(await readFile(path.join(folder, "package.json"), "utf8"));
    if (!PERMISSIVE.test(license || "")) throw new Error(name + " has the licence " + license);
    const file = (await readdir(folder)).sort().find((one) => LICENCE.test(one));
    const text = file ? await readFile(path.join(folder, file), "utf8") : KNOWN.get(name);
    if (!text) throw new Error(name + " brings no licence");
    const trimmed = text.replace(/\r\n/g, "\n").replace(/[ \t]+$/gm, "").trim();
    parts.push("-".repeat(78) + "\n" + name + " " + version + " (" + license + ")\n\n" + trimmed);
  }
  return parts.join("\n\n") + "\n";
}
