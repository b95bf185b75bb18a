import { appendFileSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type LeaseClient, type LeasesFixture, leasesContract, testContext } from "@skep/contract-tests"
import { Cleanup } from "@skep/runtime"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { bootpd as format } from "../../src/formats/bootpd.ts"
import { leasesSidecar } from "../../src/janitor/leases.ts"
import type { RunProgram } from "../../src/servers/server.ts"
import { toolsIn } from "./tools.ts"

const DAY = 86_400
const NOBODY = { known: async () => new Map<string, string>(), asked: async () => new Map<string, string>() }

/** macOS' own is on no machine of these tests: this one does with its file what dhcpd.c of its sources does. */
leasesContract({ name: "bootpd, as its sources have it", open })

describe("the janitor beside bootpd", () => {
  it("asks for it by name, and starts it anew after a change", async () => {
    const said: string[] = []
    await using fixture = await open(said)
    const address = await fixture.lease({ name: "one", mac: "52:54:00:0a:0b:01" })
    await fixture.running.giveBack({ address })
    expect(said).toEqual(["pgrep -x bootpd", "launchctl kickstart -kp system/com.apple.bootpd"])
  })
})

async function open(said: string[] = []): Promise<LeasesFixture> {
  await using cleanup = new Cleanup()
  const directory = cleanup.use(await temporaryDirectory())
  const path = join(directory.path, "dhcpd_leases")
  const tools = toolsIn(directory.path)
  const server = new Bootpd(path)
  const run: RunProgram = async (file, args) => {
    said.push([file, ...args].join(" "))
    if (file === "launchctl") server.restart()
    return "4711\n"
  }
  const sidecar = leasesSidecar({
    tools: tools.options,
    host: { run, root: "/", platform: "darwin" },
    neighbours: NOBODY,
  })
  const running = cleanup.use(
    await sidecar.start(sidecar.parseOptions({ path, format: "bootpd", everyMs: 0 }), testContext()),
  )
  const owned = cleanup.move()
  return {
    running,
    lease: async (client) => server.grant(client),
    machine: tools.machine,
    has: async (address) => server.has(address),
    damage: async () => appendFileSync(path, "what nobody knows\n"),
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  }
}

interface Entry extends LeaseClient {
  readonly address: string
  readonly expires: number
}

class Bootpd {
  readonly #path: string
  #memory: readonly Entry[] = []

  constructor(path: string) {
    this.#path = path
  }

  /** The newest first; written beside, and renamed. */
  grant(client: LeaseClient): string {
    const own = this.#memory.find(({ mac }) => mac === client.mac)
    const taken = new Set(this.#memory.map(({ address }) => address))
    const free = Array.from({ length: 253 }, (_, index) => `192.168.64.${index + 2}`).find(
      (each) => !taken.has(each),
    )
    const address = own?.address ?? free ?? ""
    const expires = Math.floor(Date.now() / 1000) + DAY
    this.#memory = [{ ...client, address, expires }, ...this.#memory.filter((entry) => entry !== own)]
    writeFileSync(`${this.#path}-`, this.#memory.map(textOf).join(""))
    renameSync(`${this.#path}-`, this.#path)
    return address
  }

  has(address: string): boolean {
    return this.#memory.some((entry) => entry.address === address)
  }

  restart(): void {
    const bytes = existsSync(this.#path) ? readFileSync(this.#path) : new Uint8Array()
    this.#memory = format
      .parse(bytes, this.#path)
      .leases.map(({ address, hardware = "", name = "", expires = 0 }) => ({
        address,
        name,
        mac: hardware,
        expires: expires / 1000,
      }))
  }
}

function textOf({ name, mac, address, expires }: Entry): string {
  const short = mac.replaceAll(/\b0(?=[0-9a-f])/g, "")
  return `{\n\tname=${name}\n\tip_address=${address}\n\thw_address=1,${short}\n\tidentifier=1,${short}\n\tlease=0x${expires.toString(16)}\n}\n`
}
