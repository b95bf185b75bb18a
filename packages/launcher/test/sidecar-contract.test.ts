import type { LauncherRunning, LauncherStatus, Sidecar } from "@skep/contract"
import { type SidecarFixture, sidecarContract } from "@skep/contract-tests"
import { type LauncherOptions, launcher } from "../src/index.ts"
import { openPlace, openTerminal, spawnedLauncher } from "./fixture.ts"

async function fixture(
  sidecar: Sidecar<LauncherOptions, LauncherStatus, LauncherRunning>,
): Promise<SidecarFixture<LauncherOptions, LauncherStatus, LauncherRunning>> {
  const place = await openPlace()
  return {
    sidecar,
    input: (index) => place.input(index),
    bad: [undefined, {}, place.input(0, { cpus: 0 }), place.input(0, { surprise: 1 })],
    hold: async (running) =>
      await openTerminal(running.endpoints.find((path) => path.endsWith("console.sock")) ?? ""),
    crash: async (running) => void process.kill((await running.status()).process.pid, "SIGKILL"),
    leftovers: () => place.leftovers(0),
    [Symbol.asyncDispose]: () => place[Symbol.asyncDispose](),
  }
}

sidecarContract({ name: "launcher in process", open: () => fixture(launcher) })
sidecarContract({ name: "launcher spawned", open: () => fixture(spawnedLauncher()) })
