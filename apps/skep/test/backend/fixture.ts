/**
 * A home for backends without virtual machines: its machines are there but cannot be read.
 *
 * @module
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import { type BackendOptions, backend } from "../../src/backend/backend.ts"

/** A machine that cannot be read. Its socket is there all the same, and with it the backend does not end for want of machines. */
export const BROKEN = "broken"

export interface Place extends AsyncDisposable {
  readonly directory: TemporaryDirectory
  options(index: 0 | 1): BackendOptions
  /** The Docker socket of the broken machine. */
  dockerSocket(index: 0 | 1): string
  controlSocket(index: 0 | 1): string
}

export async function openPlace(): Promise<Place> {
  const directory = await temporaryDirectory()
  for (const index of [0, 1]) {
    const machine = directory.at(`home${index}`, "machines", BROKEN)
    mkdirSync(machine, { recursive: true, mode: 0o700 })
    writeFileSync(directory.at(`home${index}`, "machines", BROKEN, "machine.json"), "{")
  }
  const run = (index: 0 | 1): string => directory.at(`home${index}`, "r")
  return {
    directory,
    options: (index) =>
      backend.parseOptions({
        home: directory.at(`home${index}`),
        run: run(index),
        programs: {
          launcher: ["/nowhere/launcher.js"],
          vsock: ["/nowhere/vsock.js"],
          passt: ["/nowhere/passt.js"],
          gvproxy: ["/nowhere/gvproxy.js"],
          network: ["/nowhere/network.js"],
          shares: ["/nowhere/shares.js"],
          exports: ["/nowhere/exports.js"],
          virtiofsd: ["/nowhere/virtiofsd.js"],
        },
      }),
    dockerSocket: (index) => `${run(index)}/${BROKEN}/docker.sock`,
    controlSocket: (index) => `${run(index)}/backend.sock`,
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  }
}
