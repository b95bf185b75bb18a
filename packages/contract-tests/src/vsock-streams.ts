/**
 * Streams in the cases of the vsock suite: those of host clients, and what is read of them.
 *
 * @module
 */
import { once } from "node:events"
import { createServer, connect as dial, type Socket } from "node:net"
import type { Duplex } from "node:stream"
import { GUEST_PORT, hex, paths, type VsockGuest, type VsockSetup } from "./vsock-fixture.ts"

export type Dialect = "hyperkit" | "firecracker"

/** A client of the host on a socket of the vsock. An error closes it, as every end does. */
export async function open(path: string): Promise<Socket> {
  const socket = dial({ path, allowHalfOpen: true })
  socket.on("error", () => socket.destroy())
  await once(socket, "connect")
  return socket
}

/** A client that has said its greeting, and `more` in the same write. */
export async function greet(
  setup: VsockSetup,
  dialect: Dialect,
  more: string | Buffer = "",
  port: number = GUEST_PORT,
): Promise<Socket> {
  const [path, greeting] =
    dialect === "hyperkit"
      ? [paths.connect(setup), `${hex(setup.guestCid)}.${hex(port)}\n`]
      : [setup.udsPath, `CONNECT ${port}\n`]
  const socket = await open(path)
  socket.write(Buffer.concat([Buffer.from(greeting), Buffer.from(more)]))
  return socket
}

/** Exactly so many bytes; those behind them stay in the stream. Rejects where it ends before. */
export async function take(stream: Duplex, count: number): Promise<Buffer> {
  let taken = Buffer.alloc(0)
  for (;;) {
    // All there is, and the rest back again: whoever waits for more than is buffered is told at once that there is something, for ever.
    const chunk: unknown = stream.read()
    if (chunk instanceof Buffer) taken = Buffer.concat([taken, chunk])
    if (taken.length > count) stream.unshift(taken.subarray(count))
    if (taken.length >= count) return taken.subarray(0, count)
    if (stream.readableEnded || stream.destroyed) throw new Error(`the stream ended before ${count} bytes`)
    if (chunk === null) await anyOf(stream, ["readable", "end", "close"])
  }
}

/** A line without its line feed, read byte by byte, since payload may follow at once. */
export async function takeLine(stream: Duplex): Promise<string> {
  let line = ""
  for (let byte = await take(stream, 1); byte[0] !== 0x0a; byte = await take(stream, 1)) line += String(byte)
  return line
}

/** All bytes until the end, or until the stream breaks off. */
export async function takeAll(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = []
  stream.on("data", (chunk: Buffer) => chunks.push(chunk))
  await ended(stream)
  return Buffer.concat(chunks)
}

/** Resolves when nothing more comes: an end, or the stream is closed. */
export async function ended(stream: Duplex): Promise<void> {
  if (stream.readableEnded || stream.closed) return
  stream.resume()
  await anyOf(stream, ["end", "close"])
}

export async function closed(stream: Duplex): Promise<void> {
  if (!stream.closed) await anyOf(stream, ["close"])
}

/** Resolves with the next stream that the guest is asked for on its port. */
export async function nextStream(
  guest: VsockGuest,
  port: number = GUEST_PORT,
): Promise<AsyncDisposable & { readonly stream: Promise<Duplex> }> {
  let found: (stream: Duplex) => void = () => undefined
  const stream = new Promise<Duplex>((resolve) => {
    found = resolve
  })
  const listener = await guest.listen(port, (each) => found(each))
  return { stream, [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose]() }
}

/** A guest whose port gives back what it gets, until that ends. */
export function echo(guest: VsockGuest, port: number = GUEST_PORT): Promise<AsyncDisposable> {
  return guest.listen(port, (stream) => void stream.pipe(stream))
}

/** A client and the guest's end of the same stream. */
export async function pair(
  { setup, guest }: { readonly setup: VsockSetup; readonly guest: VsockGuest },
  dialect: Dialect = "hyperkit",
): Promise<{ readonly host: Socket; readonly inGuest: Duplex }> {
  await using next = await nextStream(guest)
  const host = await greet(setup, dialect)
  return { host, inGuest: await next.stream }
}

/** A service of the host that says `text` to everybody and hangs up. */
export async function service(path: string, text: string): Promise<AsyncDisposable> {
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy())
    socket.end(text)
  })
  server.listen(path)
  await once(server, "listening")
  return {
    [Symbol.asyncDispose]: async () => {
      server.close()
      await once(server, "close")
    },
  }
}

async function anyOf(stream: Duplex, events: readonly string[]): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      for (const event of events) stream.off(event, done)
      resolve()
    }
    for (const event of events) stream.on(event, done)
  })
}
