/**
 * Both ends of conversations whose bytes can be told by a seed: for whoever stands in a namespace, and whoever does not.
 *
 * ```
 *  "client"   client ─ all it has, end ─►   server, after that end, ─ all it has, end ─►       half-closed by the client
 *  "server"   the same with the server first                                                  half-closed by the server
 *  "both"     at once
 * ```
 *
 * @module
 */
import { createCipheriv, createHash } from "node:crypto"
import { createSocket, type Socket as DatagramSocket } from "node:dgram"
import { once } from "node:events"
import { connect, createServer, type Server, type Socket } from "node:net"

export interface Talk {
  readonly first: "client" | "server" | "both"
  /** Of what this end says. */
  readonly bytes: number
  readonly seed: number
}

/** What an end has heard. */
export interface Heard {
  readonly bytes: number
  readonly sha256: string
  /** The address of the other end. */
  readonly from: string
}

export interface Place {
  readonly address: string
  readonly port: number
}

/** Ends of all waits here: nothing takes a tenth of it. */
const PATIENCE_MS = 30_000

/** The same for the same seed, and like no other. */
export function contentOf({ bytes, seed }: Pick<Talk, "bytes" | "seed">): Buffer {
  const key = createHash("sha256").update(`skep ${seed}`).digest().subarray(0, 16)
  return createCipheriv("aes-128-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(bytes))
}

export function digestOf(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex")
}

interface Listening {
  readonly server: Server
  readonly sockets: Set<Socket>
  readonly heard: Promise<Heard>[]
  next: number
}

/** What one place offers. Calls cross to other processes, so all of it is plain data. */
export class Conversations {
  readonly #listening = new Map<number, Listening>()
  readonly #echoes = new Set<DatagramSocket>()

  /** Listens, and speaks with everybody who comes in the same way. Port 0 is a free one. */
  async listen({ address, port, ...talk }: Place & Talk): Promise<number> {
    const server = createServer({ allowHalfOpen: true })
    const listening: Listening = { server, sockets: new Set(), heard: [], next: 0 }
    server.on("connection", (socket) => {
      listening.sockets.add(socket)
      socket.once("close", () => listening.sockets.delete(socket))
      const heard = converse(socket, talk, "server")
      heard.catch(() => undefined) // whoever asks for it gets the reason
      listening.heard.push(heard)
      server.emit("heard")
    })
    server.listen(port, address)
    await once(server, "listening")
    const bound = server.address()
    const number = typeof bound === "object" && bound !== null ? bound.port : 0
    this.#listening.set(number, listening)
    return number
  }

  /** What the next client of a port has said, when it has. */
  async heard(port: number): Promise<Heard> {
    const listening = this.#listening.get(port)
    if (listening === undefined) throw new Error(`nobody listens on ${port}`)
    const index = listening.next++
    const signal = AbortSignal.timeout(PATIENCE_MS)
    while (listening.heard.length <= index) await once(listening.server, "heard", { signal })
    return await (listening.heard[index] ?? Promise.reject(new Error("nobody came")))
  }

  async close(port: number): Promise<void> {
    const listening = this.#listening.get(port)
    if (listening === undefined) return
    this.#listening.delete(port)
    for (const socket of listening.sockets) socket.destroy()
    listening.server.close()
    await once(listening.server, "close")
  }

  /** Resolves to what was heard, or to the code of the error that ended it. */
  async call({ address, port, ...talk }: Place & Talk): Promise<Heard | string> {
    try {
      return await converse(connect({ host: address, port, allowHalfOpen: true }), talk, "client")
    } catch (error) {
      return codeOf(error)
    }
  }

  /** Sends every datagram back to where it came from. */
  async echo({ address, port }: Place): Promise<number> {
    const socket = createSocket(address.includes(":") ? "udp6" : "udp4")
    this.#echoes.add(socket)
    socket.on("message", (bytes, from) => socket.send(bytes, from.port, from.address))
    socket.bind(port, address)
    await once(socket, "listening")
    return socket.address().port
  }

  /** Sends a datagram, connected, and resolves to whether the same came back, or to the code of the error that came instead. */
  async ask({ address, port, bytes, seed }: Place & Pick<Talk, "bytes" | "seed">): Promise<string> {
    const socket = createSocket(address.includes(":") ? "udp6" : "udp4")
    const content = contentOf({ bytes, seed })
    try {
      socket.connect(port, address)
      await once(socket, "connect")
      const answer = once(socket, "message", { signal: AbortSignal.timeout(PATIENCE_MS) })
      socket.send(content)
      const [back] = (await answer) as [Buffer]
      return content.equals(back) ? "same" : `other: ${back.length} bytes`
    } catch (error) {
      return codeOf(error)
    } finally {
      socket.close()
    }
  }

  async end(): Promise<void> {
    for (const socket of this.#echoes) socket.close()
    this.#echoes.clear()
    await Promise.all([...this.#listening.keys()].map((port) => this.close(port)))
  }
}

export type ConversationCall = Exclude<keyof Conversations, "end">

async function converse(socket: Socket, talk: Talk, role: "client" | "server"): Promise<Heard> {
  const from = (): string => socket.remoteAddress ?? ""
  const hash = createHash("sha256")
  let bytes = 0
  let peer = from()
  socket.once("connect", () => {
    peer = from()
  })
  const speak = (): void => void socket.end(contentOf(talk))
  if (talk.first !== (role === "client" ? "server" : "client")) speak()
  else socket.once("end", speak)
  socket.on("data", (chunk: Buffer) => {
    hash.update(chunk)
    bytes += chunk.length
  })
  socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error("nothing happens any more")))
  await once(socket, "close") // rejects with what "error" says
  return { bytes, sha256: hash.digest("hex"), from: peer }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error)
}
