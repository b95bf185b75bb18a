/**
 * A socket of the model as a stream of Node's. The model only counts; the bytes are here.
 *
 * @module
 */
import { Duplex } from "node:stream"
import type { GuestSocket, LinuxGuest } from "../device/model/linux-guest.ts"

const READ_MAX = 64 * 1024

type Done = (error?: Error | null) => void

export class GuestStream {
  readonly duplex: Duplex
  /** Resolves when the host has accepted. */
  readonly connected: Promise<Duplex>
  /** How many bytes have arrived so far. */
  arrived = 0
  readonly #model: LinuxGuest
  readonly #socket: GuestSocket
  #settle: { resolve(stream: Duplex): void; reject(error: Error): void } | undefined
  /** Arrived and not read, accepted and not sent, given and not accepted. */
  readonly #inbox: Buffer[] = []
  readonly #outbox: Buffer[] = []
  #pending: { readonly chunk: Buffer; readonly done: Done } | undefined
  #ending: Done | undefined
  #wanted = false
  #ended = false

  constructor(model: LinuxGuest, socket: GuestSocket, pump: () => void) {
    this.#model = model
    this.#socket = socket
    // Not from within the stream's own call: what moves may call it again.
    const later = (): void => void setImmediate(pump)
    this.connected = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
    this.connected.catch(() => undefined) // of streams that the host began nobody asks
    this.duplex = new Duplex({
      allowHalfOpen: true,
      read: () => {
        this.#wanted = true
        later()
      },
      write: (chunk: Buffer, _encoding, done) => {
        this.#pending = { chunk, done }
        later()
      },
      final: (done) => {
        this.#ending = done
        later()
      },
      destroy: (error, done) => {
        model.close(socket)
        later()
        done(error)
      },
    })
    this.duplex.on("error", () => undefined) // the end is heard as "close"
  }

  /** Bytes for the model are behind those before. */
  arrive(bytes: Buffer): void {
    this.arrived += bytes.length
    this.#inbox.push(bytes)
  }

  /** The next bytes that the model has sent. */
  leave(count: number): Buffer {
    return shift(this.#outbox, count)
  }

  /** Does what has become possible. True when the model and the stream are both through with each other. */
  progress(): boolean {
    this.#connect()
    this.#write()
    this.#read()
    const { state, released, done } = this.#socket
    return this.duplex.destroyed && this.#outbox.length === 0 && (state === "closed" || (released && done))
  }

  #connect(): void {
    if (this.#socket.state === "established") this.#settle?.resolve(this.duplex)
    else if (this.#socket.state === "closed")
      this.#settle?.reject(new Error(`the host does not accept: ${this.#socket.error ?? "closed"}`))
    else return
    this.#settle = undefined
  }

  #write(): void {
    if (this.#socket.state === "connecting" || this.duplex.destroyed) return
    while (this.#pending !== undefined) {
      const { chunk, done } = this.#pending
      const taken = this.#model.send(this.#socket, chunk.length)
      if (taken === 0) {
        if (!this.#model.maySend(this.#socket)) this.duplex.destroy(new Error("EPIPE"))
        return
      }
      this.#outbox.push(chunk.subarray(0, taken))
      this.#pending = taken === chunk.length ? undefined : { chunk: chunk.subarray(taken), done }
      if (this.#pending === undefined) done()
    }
    if (this.#ending === undefined) return
    this.#model.shutdown(this.#socket, 2)
    this.#ending()
    this.#ending = undefined
  }

  #read(): void {
    while (this.#wanted && !this.#ended && !this.duplex.destroyed) {
      const count = this.#model.receive(this.#socket, READ_MAX)
      if (count > 0) this.#wanted = this.duplex.push(shift(this.#inbox, count))
      else if (this.#socket.sawEnd) {
        this.#ended = true
        this.duplex.push(null)
      } else return
    }
  }
}

/** Takes `count` bytes from the front. */
function shift(buffers: Buffer[], count: number): Buffer {
  const taken: Buffer[] = []
  for (let left = count; left > 0; ) {
    const first = buffers.shift()
    if (first === undefined) throw new Error(`${left} bytes of ${count} are missing`)
    const part = first.subarray(0, left)
    taken.push(part)
    if (part.length < first.length) buffers.unshift(first.subarray(part.length))
    left -= part.length
  }
  return Buffer.concat(taken)
}
