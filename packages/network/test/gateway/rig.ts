/**
 * A network in a loop that a test steps by hand, and machines on it that say what the test tells them to: each is at the other end of the stream that
 * QEMU would speak.
 *
 * @module
 */
import { closeSync, mkdtempSync, rmSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Loop } from "@skep/loop"
import { Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import * as ethernet from "@skep/wire/ethernet"
import * as mac from "@skep/wire/mac"
import { expect } from "vitest"
import { makePlan } from "../../src/addressing/plan.ts"
import { parseSubnet } from "../../src/addressing/subnet.ts"
import { NOTHING_REMEMBERED } from "../../src/dhcp/remembered.ts"
import { loopDriver } from "../../src/gateway/loop-driver.ts"
import { NetworkThread } from "../../src/gateway/network-thread.ts"
import type { LinkSpec } from "../../src/links/link-spec.ts"
import type { ThreadData, ThreadNotice } from "../../src/thread/calls.ts"

const MIB = 1024 * 1024
/** More than any test here takes; no step waits. */
const STEPS = 20_000

const subnet = parseSubnet("192.168.64.0/24")
if (subnet === undefined) throw new Error("that is a subnet")
export const PLAN = makePlan({ subnet, identity: "test", mtu: 1500, domain: "skep.internal" })
const gatewayMac = mac.parse(PLAN.gatewayMac)
if (typeof gatewayMac === "string") throw new Error(gatewayMac)
export const GATEWAY_MAC: number = gatewayMac

export interface Rig extends Disposable {
  readonly loop: Loop
  readonly network: NetworkThread
  readonly notices: readonly ThreadNotice[]
  readonly directory: string
  /** Adds a machine, and puts it on its link. */
  machine(name: string, spec?: Pick<LinkSpec, "mac" | "mtu" | "services">): Machine
  /** Connects to the link of a machine that is there. */
  join(name: string): Machine
  /** Steps until it is so. */
  until(done: () => boolean): void
  /** Steps a few times: what can happen now has happened. */
  settle(): void
  told<Type extends ThreadNotice["type"]>(type: Type): readonly (ThreadNotice & { readonly type: Type })[]
}

/** Time stands still where a test brings no clock: nothing is sent again, and nothing ends, because the host was slow. */
const STILL = { now: () => 1000 }

export function rig(data: Partial<ThreadData> = {}, clock: { now(): number } = STILL): Rig {
  const directory = mkdtempSync(join(tmpdir(), "skep-gateway-"))
  const loop = new Loop({ clock })
  const notices: ThreadNotice[] = []
  const network = new NetworkThread({
    driver: loopDriver(loop, 16 * MIB),
    data: {
      name: "test",
      plan: PLAN,
      policy: { mode: "loopback", closedPorts: [] },
      reservations: [],
      search: [],
      leases: [],
      remembered: NOTHING_REMEMBERED,
      dnsSocket: join(directory, "dns.sock"),
      lonelyMs: 0,
      limits: { maxFlows: 1024, maxFlowsPerMachine: 256, maxHeldBytes: 16 * MIB },
      ...data,
    },
    notify: (notice) =>
      notice.type === "capture-bytes" ? write(notice) : notices.push(structuredClone(notice)) > 0,
  })
  /** The file of a capture is a descriptor here. */
  const write = ({ file, bytes, last }: ThreadNotice & { readonly type: "capture-bytes" }): boolean => {
    try {
      if (bytes.length > 0) writeSync(file, bytes)
      if (!loop.stopped) loop.defer(() => network.captures.written({ file, bytes: bytes.length }))
    } catch (error) {
      loop.defer(() => network.captures.written({ file, bytes: 0, error: String(error) }))
    }
    if (last) closeSync(file)
    return true
  }
  loop.onDispose(() => network.stop())
  const machines: Machine[] = []
  const until = (done: () => boolean): void => {
    for (let step = 0; step < STEPS && !done(); step++) loop.step()
    expect(done()).toBe(true)
  }
  const connect = (name: string): Machine => {
    const machine = new Machine(join(directory, `${name}.sock`), 0x0200_0000_0001 + machines.length)
    machines.push(machine)
    until(() => network.machines.get(name)?.port.carrier === true)
    // What the gateway tells everybody who comes.
    for (let step = 0; step < 8; step++) loop.step()
    machine.take()
    return machine
  }
  return {
    loop,
    network,
    notices,
    directory,
    until,
    settle: () => {
      for (let step = 0; step < 8; step++) loop.step()
    },
    told: (type) => notices.filter((notice) => isOf(notice, type)),
    machine: (name, spec = {}) => {
      network.addLink({ kind: "qemu", machine: name, socket: join(directory, `${name}.sock`), ...spec })
      return connect(name)
    },
    join: connect,
    [Symbol.dispose]: () => {
      loop[Symbol.dispose]()
      for (const machine of machines) machine[Symbol.dispose]()
      rmSync(directory, { recursive: true })
    },
  }
}

function isOf<Type extends ThreadNotice["type"]>(
  notice: ThreadNotice,
  type: Type,
): notice is ThreadNotice & { readonly type: Type } {
  return notice.type === type
}

/** A machine that a test speaks for. */
export class Machine implements Disposable {
  readonly mac: number
  #fd: number
  readonly #scratch = new Scratch(MIB)
  readonly #region = this.#scratch.region("machine", MIB)
  #received = Buffer.alloc(0)

  constructor(socket: string, address: number) {
    this.mac = address
    this.#fd = sys.check(sys.socket(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK), "socket")
    sys.check(sys.connect(this.#fd, { family: "unix", path: socket }), "connect")
  }

  /** Sends a frame; to the gateway and from the machine's own address, unless said otherwise. */
  send(type: number, payload: Uint8Array, to: number = GATEWAY_MAC, from: number = this.mac): void {
    const frame = new Uint8Array(ethernet.HEADER + payload.length)
    ethernet.emit(frame, 0, to, from, type)
    frame.set(payload, ethernet.HEADER)
    this.write(frame)
  }

  /** Sends a frame as it is. */
  write(frame: Uint8Array): void {
    const { bytes, address } = this.#region
    new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, frame.length)
    bytes.set(frame, 4)
    const sent = sys.send(this.#fd, address, frame.length + 4, sys.MSG_DONTWAIT)
    if (sent !== frame.length + 4) throw new Error(`the link took ${sent} bytes`)
  }

  /** All frames that came since the last call. */
  take(): readonly Uint8Array[] {
    for (;;) {
      const got = sys.receive(this.#fd, this.#region.address, MIB, sys.MSG_DONTWAIT)
      if (got <= 0) break
      this.#received = Buffer.concat([this.#received, this.#region.bytes.subarray(0, got)])
    }
    const frames: Uint8Array[] = []
    let at = 0
    while (at + 4 <= this.#received.length) {
      const end = at + 4 + this.#received.readUInt32BE(at)
      if (end > this.#received.length) break
      frames.push(Uint8Array.from(this.#received.subarray(at + 4, end)))
      at = end
    }
    this.#received = this.#received.subarray(at)
    return frames
  }

  /** Idempotent. */
  [Symbol.dispose](): void {
    if (this.#fd < 0) return
    sys.close(this.#fd)
    this.#fd = -1
    this.#scratch[Symbol.dispose]()
  }
}
