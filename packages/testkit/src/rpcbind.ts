/**
 * rpcbind as it answers GETPORT, on a port of its own.
 *
 * @module
 */
import { once } from "node:events"
import { createServer, type Socket } from "node:net"

export interface PlayedRpcbind extends AsyncDisposable {
  readonly port: number
  /** Ports by program; what is not there is 0. */
  readonly programs: Map<number, number>
  /** What it was asked: program, version, protocol. */
  readonly asked: (readonly [number, number, number])[]
  /** Instead of an answer. */
  answers: ((call: Buffer) => Buffer) | undefined
}

const MARK = 4
const CALL = 14 * 4

export async function playRpcbind(): Promise<PlayedRpcbind> {
  const programs = new Map<number, number>()
  const asked: (readonly [number, number, number])[] = []
  const sockets = new Set<Socket>()
  const played = { answers: undefined as PlayedRpcbind["answers"] }
  const server = createServer((socket) => {
    sockets.add(socket)
    let got = Buffer.alloc(0)
    socket.on("error", () => socket.destroy())
    socket.on("data", (chunk) => {
      got = Buffer.concat([got, chunk])
      if (got.length < MARK + CALL) return
      const word = (index: number): number => got.readUInt32BE(MARK + index * 4)
      asked.push([word(10), word(11), word(12)])
      socket.write(played.answers?.(got) ?? replyOf(word(0), programs.get(word(10)) ?? 0))
    })
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("it listens on no port")
  return Object.assign(played, {
    port: address.port,
    programs,
    asked,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      const closed = once(server, "close")
      server.close()
      await closed
    },
  })
}

/** RFC 5531: accepted, done. */
export function replyOf(xid: number, port: number): Buffer {
  const words = [0x8000_0000 + 28, xid, 1, 0, 0, 0, 0, port]
  const bytes = Buffer.alloc(words.length * 4)
  for (const [index, word] of words.entries()) bytes.writeUInt32BE(word, index * 4)
  return bytes
}
