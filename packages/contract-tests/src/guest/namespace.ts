/**
 * A guest without a virtual machine: a network namespace, whose interface a network under test serves.
 *
 * ```
 *   commands ──► [ namespace: eth0 (TAP) ◄─► stand-in ] ──► socket of the network under test     namespaceGuest
 *   commands ──► [ namespace: eth0 (TAP) ◄───────────────── the network under test               tapGuest
 * ```
 *
 * The namespace lives in one program alone, so nothing is left of it when that ends, as it does with the test.
 *
 * @module
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { accessSync, chmodSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { type GuestOutcome, LEASE_SCRIPT, type NetworkGuest, parseLease } from "./guest.ts"

const INTERFACE = "eth0"
/** No line of a suite takes so long; one that hangs must not hold it up for ever. */
const LINE_MS = 60_000
const PROGRAMS = ["gcc", "ip", "nsenter", "unshare", "socat", "udhcpc", "sha256sum", "nslookup"]
const MAC = "52:54:00:00:00:07"

export interface NamespaceGuestOptions {
  /** Where the network listens for QEMU's stream. */
  readonly socket: string
  readonly mac?: string
  /** Ethernet's 1500 unless told; what DHCP says may change it. */
  readonly mtu?: number
}

/** A guest whose namespace is open to whoever serves its interface. */
export interface TapGuest extends NetworkGuest, AsyncDisposable {
  /** A process in the namespace, for as long as the guest is there. */
  readonly pid: number
}

export interface NamespaceGuest extends NetworkGuest, AsyncDisposable {
  /** Resolves when it has joined the network once more. */
  rejoined(): Promise<void>
}

/** Why there can be no such guest on this host; undefined where there can. */
export function namespaceGuestUnavailable(): string | undefined {
  for (const program of PROGRAMS) {
    if (spawnSync("sh", shell(`command -v ${program}`)).status !== 0)
      return `there is no ${program} on this host`
  }
  try {
    accessSync("/dev/net/tun", constants.R_OK | constants.W_OK)
  } catch {
    return "/dev/net/tun cannot be opened"
  }
  return spawnSync("unshare", [...UNSHARE, "true"]).status === 0
    ? undefined
    : "there are no network namespaces to be had"
}

/** A user's PATH may lack what only root is expected to run. */
const shell = (line: string): readonly string[] => ["-c", `PATH=$PATH:/usr/sbin:/sbin; ${line}`]
const isRoot = process.getuid?.() === 0
const UNSHARE = ["--net", "--mount", ...(isRoot ? [] : ["--user", "--map-root-user"])]
const NSENTER = ["--net", "--mount", ...(isRoot ? [] : ["--user", "--preserve-credentials"])]

/** Resolves when the guest's interface is up and the network is joined. The guest has no address yet. */
export async function namespaceGuest(options: NamespaceGuestOptions): Promise<NamespaceGuest> {
  const { socket, mac = MAC, mtu = 1500 } = options
  const directory = mkdtempSync(join(tmpdir(), "guest-"))
  const program = join(directory, "stand-in")
  execFileSync("gcc", ["-O2", "-o", program, join(import.meta.dirname, "stand-in.c")])
  const standIn = spawn("unshare", [...UNSHARE, program, socket, INTERFACE, mac, String(mtu)], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  const said = linesOf(standIn)
  const guest = await guestIn({ holder: standIn, directory, ready: () => said("ready"), interfaceUp: UP })
  try {
    await said("joined")
  } catch (error) {
    await guest[Symbol.asyncDispose]()
    throw error
  }
  return { ...guest, rejoined: () => said("joined") }
}

/**
 * Resolves when there is an interface `eth0` that waits for a network to attach to it, by the id of a process in the namespace. It stays when that network
 * goes, as a virtual machine's would.
 */
export async function tapGuest(mac: string = MAC): Promise<TapGuest> {
  const directory = mkdtempSync(join(tmpdir(), "guest-"))
  // It says that it stands by saying again what it hears, and ends with the test, whose end closes its input.
  const holder = spawn("unshare", [...UNSHARE, "cat"], { stdio: ["pipe", "pipe", "inherit"] })
  const said = linesOf(holder)
  holder.stdin.write("ready\n")
  const tap = `ip tuntap add dev ${INTERFACE} mode tap vnet_hdr && ip link set ${INTERFACE} address ${mac} && ${UP}`
  const guest = await guestIn({ holder, directory, ready: () => said("ready"), interfaceUp: tap })
  return { ...guest, pid: holder.pid ?? 0 }
}

const UP = `ip link set lo up && ip link set ${INTERFACE} up`

interface Setup {
  /** The process that the namespace lives in. */
  readonly holder: ChildProcess
  /** For files of the guest; goes with it. */
  readonly directory: string
  readonly ready: () => Promise<void>
  readonly interfaceUp: string
}

async function guestIn(setup: Setup): Promise<NetworkGuest & AsyncDisposable> {
  const { holder, directory } = setup
  const at = (name: string): string => join(directory, name)
  const close = async (): Promise<void> => {
    await ended(holder)
    rmSync(directory, { recursive: true, force: true })
  }
  const inside = (line: string, detached = false): ChildProcess =>
    spawn("nsenter", ["--target", String(holder.pid), ...NSENTER, "sh", ...shell(line)], { detached })
  try {
    writeFileSync(at("resolv.conf"), "")
    writeFileSync(at("lease"), LEASE_SCRIPT)
    chmodSync(at("lease"), 0o755)
    await setup.ready()
    const line = `mount --bind ${at("resolv.conf")} /etc/resolv.conf && ${setup.interfaceUp}`
    const { code, stderr } = await run(inside, line)
    if (code !== 0) throw new Error(`Cannot set up the namespace: ${stderr}`)
  } catch (error) {
    await close()
    throw error
  }
  return {
    interface: INTERFACE,
    lease: async () => {
      const line = `udhcpc -f -q -n -t 5 -T 1 -A 1 -i ${INTERFACE} -s ${at("lease")}`
      const { stdout, stderr } = await run(inside, line)
      const lease = parseLease(stdout)
      if (lease === undefined) throw new Error(`No lease: ${stdout}${stderr}`)
      return lease
    },
    run: (line, input) => run(inside, line, input),
    serve: (line, ready) => serve(inside, line, ready),
    [Symbol.asyncDispose]: close,
  }
}

/** `detached` makes it the leader of a process group, so that all it starts can be ended with it. */
type Inside = (line: string, detached?: boolean) => ChildProcess

/** Each call resolves with the next line that is `text`, or rejects when the program ends. */
function linesOf(child: ChildProcess): (text: string) => Promise<void> {
  if (child.stdout === null) throw new Error("it was given a pipe")
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return async (text) => {
    for (;;) {
      const { done, value } = await lines.next()
      if (done === true) throw new Error(`The guest's stand-in ended before it said "${text}"`)
      if (value === text) return
    }
  }
}

async function run(inside: Inside, line: string, input?: Uint8Array): Promise<GuestOutcome> {
  const child = inside(line)
  const timer = setTimeout(() => child.kill("SIGKILL"), LINE_MS)
  const [out, err]: [Buffer[], Buffer[]] = [[], []]
  child.stdout?.on("data", (chunk: Buffer) => out.push(chunk))
  child.stderr?.on("data", (chunk: Buffer) => err.push(chunk))
  child.stdin?.on("error", () => undefined) // it did not read its input
  child.stdin?.end(input)
  await once(child, "close")
  clearTimeout(timer)
  return {
    code: child.exitCode,
    stdout: Buffer.concat(out).toString(),
    stderr: Buffer.concat(err).toString(),
  }
}

async function serve(inside: Inside, line: string, ready: string): Promise<AsyncDisposable> {
  const child = inside(`exec ${line}`, true)
  let text = ""
  await new Promise<void>((resolve, reject) => {
    const look = (chunk: Buffer): void => {
      text += chunk.toString()
      if (text.includes(ready)) resolve()
    }
    child.stdout?.on("data", look)
    child.stderr?.on("data", look)
    child.once("close", () => reject(new Error(`"${line}" ended in the guest: ${text}`)))
  })
  // Its clients' processes too: whose client never hears of the end would wait for it for ever.
  return { [Symbol.asyncDispose]: () => ended(child, -(child.pid ?? 0)) }
}

/** Kills it, or the process group `whom`, and waits for it. */
async function ended(child: ChildProcess, whom = child.pid ?? 0): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || whom === 0) return
  const gone = once(child, "exit")
  process.kill(whom, "SIGKILL")
  await gone
}
