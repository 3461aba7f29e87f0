/* Bundles css/ and js/ into dist/ under names that carry a hash of their content, and writes dist/manifest.json
   (plain name -> hashed name), from which the templates take their addresses. */
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, extname } from "node:path";

const OUT = "dist";
const ENTRIES = ["css/staff.css", "css/people.css", "js/app.js", "js/charts.js"];

const result = await build({
  entryPoints: ENTRIES,
  outdir: OUT,
  bundle: true,
  minify: true,
  write: false,
  format: "iife",
  target: ["chrome100", "firefox100", "safari15"],
  legalComments: "none",
  logLevel: "warning",
});

await rm(OUT, { recursive: true, force: true });
await mkdir(OUT, { recursive: true });
const manifest = {};
for (const file of result.outputFiles) {
  const name = basename(file.path);
  const ending = extname(name);
  const hash = createHash("sha256").update(file.contents).digest("hex").slice(0, 12);
  manifest[name] = `${name.slice(0, -ending.length)}.${hash}${ending}`;
  await writeFile(`${OUT}/${manifest[name]}`, file.contents);
}
manifest["mark.svg"] = "mark.svg";
await writeFile(`${OUT}/mark.svg`, await readFile("mark.svg"));
await writeFile(`${OUT}/manifest.json`, JSON.stringify(manifest, null, 1));
