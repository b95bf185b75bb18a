// The keeper before somebody else's back end: QEMU's own virtiofsd (C), which is killed and replaced while the guest has its share mounted.
// The keeper brings it back to the guest, whom it knows nothing of; that is the most that can be done for a server that keeps its session in itself.
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { connect, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { prepareBare } from "../vm/bare-qemu.ts"
import { sharedSkep } from "./skep.ts"

/** Debian's qemu-system-common has it up to release 12. */
const VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
const MEMORY_MIB = 512
const missing = !existsSync(VIRTIOFSD) || process.getuid?.() !== 0

const skep = sharedSkep()
const directory = mkdtempSync(join(tmpdir(), "vf-"))
const at = (name: string): string => join(directory, name)
const keeperProgram = join(import.meta.dirname, "../../apps/skep/dist/programs/keeper.js")

let daemon: ChildProcess
let keeper: ChildProcess
let qemu: ChildProcess
let terminal: Socket

function startVirtiofsd(): ChildProcess {
  const options = ["-o", `source=${at("share")}`, "-o", "sandbox=chroot", "-o", "cache=none", "-f"]
  return spawn(VIRTIOFSD, [`--socket-path=${at("back.sock")}`, ...options], { stdio: "ignore" })
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, "exit")
  child.kill(signal)
  await gone
}

/** Resolves with what the console says up to and with what matches. */
function heard(pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ""
    const onData = (chunk: Buffer): void => {
      text += chunk.toString()
      if (!pattern.test(text)) return
      terminal.off("data", onData)
      resolve(text)
    }
    terminal.on("data", onData)
    terminal.once("close", () =>
      reject(new Error(`the console closed; it said ${JSON.stringify(text.slice(-500))}`)),
    )
  })
}

/** Runs a line in the guest's shell, and returns what it printed. */
async function guest(line: string): Promise<string> {
  const answer = heard(/<<([^]*)>>\d+;/)
  terminal.write(`stty -echo; printf '<%s' '<'; ${line}; printf '>>%d;' $?\n`)
  return /<<([^]*)>>\d+;/.exec(await answer)?.[1]?.replaceAll("\r", "") ?? ""
}

describe.skipIf(missing)("the keeper before virtiofsd", () => {
  beforeAll(async () => {
    const { vm } = await skep.json(["status"])
    const argv = await prepareBare({
      directory: at("vm"),
      images: join(skep.home, "images"),
      accelerator: vm.accelerator,
      memoryMiB: MEMORY_MIB,
      bootLocal: "#!/bin/sh\n",
    })
    mkdirSync(at("share"))
    writeFileSync(at("share/first"), "one\n")
    daemon = startVirtiofsd()
    const device = ["fs", at("front.sock"), at("back.sock")].join()
    keeper = spawn(process.execPath, [keeperProgram, "--device", device], {
      stdio: ["ignore", "pipe", "inherit"],
    })
    qemu = spawn(
      "qemu-system-x86_64",
      [
        ...argv.map((word) => (word.startsWith("microvm") ? `${word},memory-backend=ram` : word)),
        "-object",
        `memory-backend-memfd,id=ram,size=${MEMORY_MIB}M,share=on`,
        "-chardev",
        `socket,id=fs,path=${at("front.sock")},server=on`,
        "-device",
        "vhost-user-fs-device,chardev=fs,tag=share",
      ],
      { stdio: "ignore" },
    )
    await vi.waitUntil(() => existsSync(at("vm/serial.sock")), { timeout: 30_000 })
    terminal = connect(at("vm/serial.sock"))
    await heard(/phase docker/)
    await guest("modprobe virtiofs; mkdir /share; mount -t virtiofs share /share")
  })

  afterAll(async () => {
    terminal.destroy()
    await ended(qemu, "SIGKILL")
    await ended(keeper, "SIGTERM")
    await ended(daemon, "SIGKILL")
    rmSync(directory, { recursive: true, force: true })
  })

  it("serves the guest", async () => {
    expect(await guest("cat /share/first")).toBe("one\n")
  })

  it("gives the guest another one when it is killed: what it cannot do ends with an error, and a mount anew works", async () => {
    for (let round = 1; round <= 3; round++) {
      await ended(daemon, "SIGKILL")
      writeFileSync(at(`share/round${round}`), `round ${round}\n`)
      daemon = startVirtiofsd()
      // A FUSE server wants its FUSE_INIT first, which a guest sends when it mounts: this one refuses all else, but it answers.
      expect(await guest("ls /share")).toContain("Input/output error")
      expect(await guest("umount /share && mount -t virtiofs share /share; ls /share")).toContain(
        `round${round}`,
      )
      expect(await guest(`cat /share/round${round}`)).toBe(`round ${round}\n`)
    }
  })

  it("lets a request that finds nobody wait for the next one", async () => {
    await ended(daemon, "SIGKILL")
    const answer = guest("ls /share")
    await new Promise((resolve) => setTimeout(resolve, 500)) // the guest asks, and waits
    daemon = startVirtiofsd()
    expect(await answer).toContain("Input/output error")
  })
})
