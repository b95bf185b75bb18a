/**
 * How to run the other programs of Skep.
 *
 * @module
 */
import { nodeArguments } from "@skep/runtime"

const SOURCES = {
  backend: "../backend/main.ts",
  "image-builder": "../backend/image-builder/main.ts",
  mount: "../mount/main.ts",
  launcher: "../../../../packages/launcher/src/main.ts",
  vsock: "../../../../packages/vsock/src/main.ts",
  network: "../../../../packages/network/src/main.ts",
  passt: "../../../../packages/adapters/src/passt/main.ts",
  gvproxy: "../../../../packages/adapters/src/gvproxy/main.ts",
  shares: "../../../../packages/shares/src/main.ts",
  exports: "../../../../packages/shares/src/exports/main.ts",
  virtiofsd: "../virtiofsd/main.ts",
} as const

/** Node's arguments that run a program. */
export function programArguments(name: keyof typeof SOURCES): readonly string[] {
  return nodeArguments(import.meta.url, { built: name, source: SOURCES[name] })
}
