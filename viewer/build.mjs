// Bundles the viewer: `node build.mjs [FOLDER]`. The same sources and packages give the same bytes.
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { notices } from "./notices.mjs";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const OUT = path.resolve(process.argv[2] || path.join(HERE, "..", "static", "viewer"));

// Our pages forbid style attributes. Cornerstone writes them beside its measurements; the same
// through an element's style object is allowed.
const STYLED = new Map([
  [
    "drawTextBox.js",
    ["textElement.setAttribute('style', combinedStyle);", "textElement.style.cssText = combinedStyle;"],
  ],
  [
    "setAttributesIfNecessary.js",
    [
      "svgNode.setAttribute(key, newValue);",
      "key === 'style' ? (svgNode.style.cssText = newValue) : svgNode.setAttribute(key, newValue);",
    ],
  ],
  [
    "setNewAttributesIfValid.js",
    [
      "svgNode.setAttribute(key, newValue);",
      "key === 'style' ? (svgNode.style.cssText = newValue) : svgNode.setAttribute(key, newValue);",
    ],
  ],
]);
const noStyleAttributes = {
  name: "no-style-attributes",
  setup(bundler) {
    bundler.onLoad({ filter: /drawingSvg[\\/]\w+\.js$/ }, async ({ path: file }) => {
      const found = STYLED.get(path.basename(file));
      if (!found) return undefined;
      const source = await readFile(file, "utf8");
      if (source.split(found[0]).length !== 2) throw new Error(file + " is not what it was");
      return { contents: source.replace(found[0], found[1]), loader: "js" };
    });
  },
};

// Parts of vtk.js that no picture here needs: writing XML, WebGPU, and forty tables of colours.
const NOTHING = new Map([
  [/^xmlbuilder2$/, "export const create = undefined; export default {};"],
  [/WebGPU(\/RenderWindow)?(\.js)?$/, "export default {};"],
  [/\/ColorMaps\.json(\.js)?$/, "export const v = [];"],
]);
const leftOut = {
  name: "left-out",
  setup(bundler) {
    for (const [filter, contents] of NOTHING) {
      bundler.onResolve({ filter }, (found) => ({ path: found.path, namespace: "left-out", pluginData: contents }));
    }
    bundler.onLoad({ filter: /.*/, namespace: "left-out" }, ({ pluginData }) => ({ contents: pluginData, loader: "js" }));
  },
};

const result = await build({
  absWorkingDir: HERE,
  entryPoints: ["src/main.mjs"],
  bundle: true,
  format: "iife",
  minify: true,
  target: "es2022",
  charset: "ascii",
  legalComments: "none",
  define: { "process.env.NODE_ENV": '"production"' },
  plugins: [noStyleAttributes, leftOut],
  metafile: true,
  write: false,
});

const bundle = result.outputFiles[0].contents;
const packages = new Set();
for (const input of Object.keys(Object.values(result.metafile.outputs)[0].inputs)) {
  const found = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
  if (found) packages.add(found[1]);
}
await mkdir(OUT, { recursive: true });
await writeFile(path.join(OUT, "viewer.js"), bundle);
await writeFile(path.join(OUT, "NOTICES.txt"), await notices(HERE, [...packages].sort()));

// What the bundle was made of, so that a change that was not bundled is seen without Node.
const sources = ["package-lock.json", "build.mjs", "notices.mjs"];
for (const name of (await readdir(path.join(HERE, "src"))).sort()) sources.push("src/" + name);
const lines = [];
for (const name of sources) {
  const digest = createHash("sha256").update(await readFile(path.join(HERE, name))).digest("hex");
  lines.push(digest + "  " + name);
}
lines.push(createHash("sha256").update(bundle).digest("hex") + "  viewer.js");
await writeFile(path.join(OUT, "MADE-OF.txt"), lines.join("\n") + "\n");
console.log("viewer.js: " + Math.round(bundle.length / 1024) + " KB of " + packages.size + " packages");
