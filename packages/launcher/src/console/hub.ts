/**
 * The guest's serial port, shared: everything it prints goes to the log and to every client, everything a client types goes
 * to the guest.
 *
 *     QEMU serial.sock ──► hub ──► console.log, lines to the launcher
 *            ▲              ├──► client
 *            └──────────────┴──► client …          console.sock
 *
 * @module
 */
import { createServer, type Socket } from "node:net"
import { listenPrivately } from "@skep/runtime"
import { Backlog } from "./backlog.ts"
import { ConsoleLines } from "./lines.ts"
import type { LogFile } from "./log-file.ts"

/** What a new client gets first. */
const BACKLOG_BYTES = 8 << 10
/** A client that reads nothing is dropped at this many unsent bytes. */
const CLIENT_UNSENT_MAX = 256 << 10

export class ConsoleHub implements Disposable {
  /** Called for each complete line. */
  onLine: (line: string) => void = () => undefined
  readonly #log: LogFile
  readonly #clients = new Set<Socket>()
  readonly #backlog = new Backlog(BACKLOG_BYTES)
  #lines = new ConsoleLines()
  #serial: Socket | undefined
  #bytes = 0
  #accepted = 0
  #dropped = 0

  constructor(log: LogFile) {
    this.#log = log
  }

  /** Takes the serial port of a machine that starts or is adopted. */
  attach(serial: Socket): void {
    this.#serial = serial
    this.#lines = new ConsoleLines()
    serial.on("data", (chunk: Buffer) => this.#feed(chunk))
    serial.on("error", () => serial.destroy())
    serial.on("drain", () => {
      for (const client of this.#clients) client.resume()
    })
    serial.on("close", () => {
      if (this.#serial === serial) this.#serial = undefined
    })
  }

  /** Begins a new log; the previous machine's stays beside it. */
  startOver(): void {
    this.#log.rotate()
    this.#backlog.clear()
  }

  /** The last `count` lines, for an error. */
  tail(count: number): readonly string[] {
    const lines = Buffer.from(this.#backlog.bytes()).toString("utf8").split(/\r*\n/)
    return lines.filter((line) => line.trim() !== "").slice(-count)
  }

  /** Serves the console at `path`. Disposal hangs up on every client. */
  async listen(path: string): Promise<AsyncDisposable> {
    const server = createServer((client) => this.#accept(client))
    const socket = await listenPrivately(server, path)
    return {
      [Symbol.asyncDispose]: async () => {
        // What the guest said last is still on its way to those who read; those who do not read are cut off.
        for (const client of this.#clients) client.destroySoon()
        setImmediate(() => this[Symbol.dispose]())
        await socket[Symbol.asyncDispose]()
      },
    }
  }

  get counters(): Readonly<Record<string, number>> {
    return {
      consoleBytes: this.#bytes,
      consoleClients: this.#accepted,
      consoleClientsDropped: this.#dropped,
      consoleLogErrors: this.#log.errors,
    }
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients) client.destroy()
  }

  #feed(chunk: Buffer): void {
    this.#bytes += chunk.length
    this.#log.write(chunk)
    this.#backlog.push(chunk)
    for (const client of this.#clients) this.#send(client, chunk)
    for (const line of this.#lines.push(chunk)) this.onLine(line)
  }

  #accept(client: Socket): void {
    this.#accepted++
    this.#clients.add(client)
    client.on("error", () => client.destroy())
    client.on("close", () => this.#clients.delete(client))
    client.on("data", (chunk: Buffer) => {
      // A guest that does not read its console holds back those who type, not our memory.
      if (this.#serial?.write(chunk) === false) client.pause()
    })
    this.#send(client, this.#backlog.bytes())
  }

  #send(client: Socket, chunk: Uint8Array): void {
    if (!client.writable) return
    if (client.writableLength > CLIENT_UNSENT_MAX) {
      this.#dropped++
      client.destroy()
    } else client.write(chunk)
  }
}
