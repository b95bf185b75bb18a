/**
 * How programs are bundled: the options of scripts/build.mjs.
 *
 * @module
 */
import type { BuildOptions } from "esbuild"

/** What the CommonJS packages inside expect around them, under names that nobody else has. */
const COMMON_JS = [
  'import { createRequire as __createRequire } from "node:module"',
  'import { dirname as __dirnameOf } from "node:path"',
  'import { fileURLToPath as __fileOf } from "node:url"',
  "const require = __createRequire(import.meta.url)",
  "const __filename = __fileOf(import.meta.url)",
  "const __dirname = __dirnameOf(__filename)",
].join("\n")

export const AS_SHIPPED: BuildOptions = {
  bundle: true,
  format: "esm",
  platform: "node",
  target: "node20",
  conditions: ["source"],
  external: ["koffi", "*.node", "cpu-features"],
  banner: { js: COMMON_JS },
}
