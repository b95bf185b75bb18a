/**
 * A mount of this kernel's own FUSE whose requests are handled by a session on a loop of the test: what a guest's mount is, without a guest.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { accessSync, constants } from "node:fs"
import { Exchange, FuseSession, type PolicyOf, type Transport } from "@skep/fuse"
import { Loop, type Scope } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import type { FileSystem, Pieces } from "@skep/vfs"

const MESSAGE = 1024 * 1024 + 4096
const HEAD = 80
const WRITE = 16

/** Why there can be none here. */
export function noKernelMount(): string | undefined {
  if (process.getuid?.() !== 0) return "it needs root"
  try {
    accessSync("/dev/fuse", constants.R_OK | constants.W_OK)
    accessSync("/usr/bin/perl", constants.X_OK)
  } catch {
    return "it needs /dev/fuse and perl"
  }
  return sys.available().available ? undefined : "it needs system calls"
}

/** A loop that takes turns with the test. Nobody may wait for the mount in this process. */
export function turning(): { readonly loop: Loop } & Disposable {
  const loop = new Loop()
  let over = false
  const turn = (): void => {
    if (over) return
    loop.step()
    setImmediate(turn)
  }
  turn()
  return {
    loop,
    [Symbol.dispose]: () => {
      over = true
      loop[Symbol.dispose]()
    },
  }
}

interface Area {
  readonly buffer: ArrayBuffer
  readonly bytes: Uint8Array
  readonly address: number
}

export interface KernelMount extends AsyncDisposable {
  readonly session: FuseSession
}

export async function kernelMount(
  scope: Scope,
  fileSystem: FileSystem,
  place: string,
  policyOf: PolicyOf,
): Promise<KernelMount> {
  const fd = sys.check(sys.open("/dev/fuse", sys.O_RDWR | sys.O_NONBLOCK), "open")
  const [request, answer] = [area(), area()]
  const views = {
    bytes: request.bytes,
    u16: new Uint16Array(request.buffer),
    u32: new Uint32Array(request.buffer),
  }
  const transport: Transport = {
    source: (_exchange, skip, bytes) => piece(request, skip, bytes),
    target: (_exchange, skip, bytes) => piece(answer, skip, bytes),
    reply: (_exchange, head, length, total) => {
      if (total === 0) return
      answer.bytes.set(head.bytes.subarray(0, length))
      // The kernel may have given the request up, ENOENT.
      sys.write(fd, answer.address, total)
    },
  }
  const session = new FuseSession({ fileSystem, transport, request: views, policyOf })
  const exchange = session.exchange(0)
  const options = `fd=3,rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other`
  await finished(
    spawn("mount", ["-i", "-t", "fuse", "-o", options, "skep", place], {
      stdio: ["ignore", "ignore", "inherit", fd],
    }),
  )
  // Not before: a poll of what is not mounted waits for nothing.
  const registration = scope.adopt(fd, sys.EPOLLIN, () => {
    for (let turns = 0; turns < 64; turns++) {
      const bytes = sys.read(fd, request.address, MESSAGE)
      if (bytes === -sys.ENODEV) registration.close()
      if (bytes <= 0) return
      take(session, exchange, views.u32[1] === WRITE ? HEAD : bytes, bytes)
    }
  })
  return {
    session,
    [Symbol.asyncDispose]: async () => {
      await finished(spawn("umount", ["-l", place], { stdio: "ignore" }))
      registration.close()
    },
  }
}

function take(session: FuseSession, exchange: Exchange, end: number, bytes: number): void {
  exchange.readable = bytes
  exchange.writable = MESSAGE
  session.handle(exchange, end)
}

async function finished(child: ChildProcess): Promise<void> {
  const [code] = await once(child, "exit")
  if (code !== 0) throw new Error(`${child.spawnargs.join(" ")} exited with ${code}`)
}

function area(): Area {
  const buffer = new ArrayBuffer(MESSAGE)
  return { buffer, bytes: new Uint8Array(buffer), address: sys.addressOf(buffer) }
}

const iovec = new BigUint64Array(2)
const iovecAddress = sys.addressOf(iovec.buffer)

function piece({ address }: Area, skip: number, bytes: number): Pieces {
  iovec[0] = BigInt(address + skip)
  iovec[1] = BigInt(bytes)
  return { address: iovecAddress, count: 1, bytes }
}
