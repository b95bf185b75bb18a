/**
 * This host's own kernel as the client: /dev/fuse as a transport, and a shell in a mount namespace of its own, where the file system is mounted.
 *
 * The kernel's descriptor gives a whole request in one read, and takes a whole answer in one write: fs/fuse/dev.c.
 *
 * @module
 */
import { spawn } from "node:child_process"
import { accessSync, closeSync, constants, mkdtempSync, openSync, read, rmSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Views } from "@skep/loop/memory"
import { addressOf, copyFromMemory } from "@skep/loop/sys"
import type { Pieces } from "@skep/vfs"
import { newViews } from "../src/driver/index.ts"
import { type Exchange, FuseSession, type FuseSessionOptions, type Transport } from "../src/index.ts"

const REQUEST_MAX = (1 << 20) + 8192
const ANSWER_MAX = (1 << 20) + 8192

/** Why there is no such mount here. */
export function unavailable(): string | undefined {
  if (process.getuid?.() !== 0) return "mounting needs root"
  try {
    accessSync("/dev/fuse", constants.R_OK | constants.W_OK)
    return undefined
  } catch {
    return "there is no /dev/fuse"
  }
}

/** The descriptor of a mount as a transport. */
class KernelMount implements Transport {
  readonly fd = openSync("/dev/fuse", "r+")
  readonly request: Views = newViews(REQUEST_MAX)
  readonly session: FuseSession
  readonly #target = new ArrayBuffer(ANSWER_MAX)
  readonly #answer = new Uint8Array(ANSWER_MAX)
  readonly #iovec = new BigUint64Array(2)
  readonly #free: Exchange[] = []
  readonly #retry: NodeJS.Timeout
  #made = 0

  constructor(options: Omit<FuseSessionOptions, "transport" | "request">) {
    this.session = new FuseSession({ ...options, transport: this, request: this.request })
    this.#retry = setInterval(() => this.session.retryLocks(), 5)
    this.#next()
  }

  close(): void {
    clearInterval(this.#retry)
    closeSync(this.fd)
  }

  /** One request after the other. All but waits for locks are answered at once, as the file system is in memory. */
  #next(): void {
    read(this.fd, this.request.bytes, 0, REQUEST_MAX, null, (error, length) => {
      // Before it is mounted, and when it is no more, there is nothing to read.
      if (error !== null) {
        if (error.code === "EPERM" || error.code === "EINTR" || error.code === "ENOENT")
          setImmediate(() => this.#next())
        return
      }
      const exchange = this.#free.pop() ?? this.session.exchange(this.#made++)
      const silent = [2, 36, 42].includes(this.request.u32[1] ?? 0)
      exchange.readable = length
      exchange.writable = silent ? 0 : ANSWER_MAX
      this.session.handle(exchange, this.request.u32[1] === 16 ? 80 : length)
      this.#next()
    })
  }

  source(_exchange: Exchange, skip: number, bytes: number): Pieces {
    return this.#pieces(addressOf(this.request.bytes.buffer as ArrayBuffer) + skip, bytes)
  }

  target(_exchange: Exchange, _skip: number, bytes: number): Pieces {
    return this.#pieces(addressOf(this.#target), bytes)
  }

  reply(exchange: Exchange, head: Views, length: number, total: number): void {
    this.#free.push(exchange)
    if (total === 0) return
    this.#answer.set(head.bytes.subarray(0, length))
    if (total > length) copyFromMemory(this.#answer.subarray(length, total), addressOf(this.#target))
    try {
      writeSync(this.fd, this.#answer, 0, total)
    } catch (error) {
      // ENOENT: whoever asked was killed meanwhile.
      if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error
    }
  }

  #pieces(address: number, bytes: number): Pieces {
    this.#iovec.set([BigInt(address), BigInt(bytes)])
    return { address: addressOf(this.#iovec.buffer), count: 1, bytes }
  }
}

export interface Mounted extends Disposable {
  readonly session: FuseSession
  /** Runs a script in the root of a new mount of the file system; returns what it prints. */
  run(script: string): Promise<string>
}

export function mountHere(options: Omit<FuseSessionOptions, "transport" | "request">): Mounted {
  const mount = new KernelMount(options)
  const directory = mkdtempSync(join(tmpdir(), "mount-"))
  const words = "fd=3,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
  const run = (script: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const whole = `mount -i -t fuse -o ${words} skep ${directory} && cd ${directory} && { ${script}\n}`
      const child = spawn("unshare", ["--mount", "sh", "-euc", whole], {
        stdio: ["ignore", "pipe", "pipe", mount.fd],
      })
      let text = ""
      for (const stream of [child.stdout, child.stderr])
        stream?.on("data", (chunk: Buffer) => {
          text += chunk.toString()
        })
      child.on("error", reject)
      child.on("close", (code) =>
        code === 0 ? resolve(text) : reject(new Error(`exit code ${code}: ${text}`)),
      )
    })
  return {
    session: mount.session,
    run,
    [Symbol.dispose]: () => {
      mount.close()
      rmSync(directory, { recursive: true })
    },
  }
}
