/**
 * How to run the other programs of Skep: from the build beside this file, or from source with tsx.
 *
 * @module
 */
import { fileURLToPath } from "node:url"

/** Small young generations: these processes wait most of the time, and their memory is what a user sees. */
const LEAN = ["--max-semi-space-size=1", "--no-warnings"]

const SOURCES = {
  backend: "../backend/main.ts",
  "image-builder": "../backend/image-builder/main.ts",
  launcher: "../../../../packages/launcher/src/main.ts",
  vsock: "../../../../packages/vsock/src/main.ts",
  network: "../../../../packages/network/src/main.ts",
  passt: "../../../../packages/adapters/src/passt/main.ts",
  gvproxy: "../../../../packages/adapters/src/gvproxy/main.ts",
} as const

/** Node's arguments that run a program. */
export function programArguments(name: keyof typeof SOURCES): readonly string[] {
  if (!import.meta.url.endsWith(".ts"))
    return [...LEAN, fileURLToPath(new URL(`./${name}.js`, import.meta.url))]
  return [
    ...LEAN,
    "--conditions=source",
    "--import",
    "tsx",
    fileURLToPath(new URL(SOURCES[name], import.meta.url)),
  ]
}
