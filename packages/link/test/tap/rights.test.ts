// An interface that root has made for somebody who may use it and not change it (tuntap.rst: "owner").

import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { whyNoNetwork } from "./network.ts"

const DEVICE = fileURLToPath(new URL("../../src/tap/device.ts", import.meta.url))
const TIMEOUT_MS = 60_000
/** A process of root's without the right to change networks. */
const POWERLESS = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]

function whyNot(): string {
  const network = whyNoNetwork()
  if (network !== "") return network
  if (process.getuid?.() !== 0) return "this is not root"
  if (spawnSync("unshare", ["--net", "ip", "link"]).status !== 0) return "unshare or ip is not installed"
  const [program = "", ...args] = POWERLESS
  return spawnSync(program, [...args, "true"]).status === 0 ? "" : "setpriv cannot give up rights here"
}

const missing = whyNot()
if (missing !== "") process.stdout.write(`TAP interfaces made by root are skipped: ${missing}\n`)

/** Opens the interface "mine", brings it up and gives it this MTU, in a namespace where root has done `prepared` with it. Returns what came of it. */
function opened(prepared: string, mtu: number): string {
  const program = `
    const { openTap } = await import(${JSON.stringify(DEVICE)})
    try {
      const { interface: there } = openTap({ interfaceName: "mine", mtu: ${mtu}, up: true })
      console.log(there.mtu, there.up)
    } catch (error) {
      console.log(error.message)
    }`
  const node = [
    process.execPath,
    "--conditions=source",
    "--import",
    "tsx",
    "--input-type=module",
    "-e",
    program,
  ]
  const script = `ip tuntap add mine mode tap user root && ip link set mine ${prepared} && exec "$@"`
  const { stdout, stderr, error } = spawnSync(
    "unshare",
    ["--net", "sh", "-c", script, "sh", ...POWERLESS, ...node],
    { encoding: "utf8", timeout: TIMEOUT_MS },
  )
  if (error !== undefined) throw error
  return `${stdout}${stderr}`.trim()
}

describe.skipIf(missing !== "")("openTap() without the right to change interfaces", () => {
  it("takes one that is as it should be", () => {
    expect(opened("mtu 1400 up", 1400)).toBe("1400 true")
  })

  it.each([
    ["mtu 1400 up", "SIOCSIFMTU: EPERM, mine"],
    ["mtu 1500 down", "SIOCSIFFLAGS: EPERM, mine"],
  ])("says what it may not change: %s", (prepared, said) => {
    expect(opened(prepared, 1500)).toBe(said)
  })
})
