/**
 * What QEMU 7.2 has of networks that come and go: streams, ports of a hub, and `info network`.
 *
 * @module
 */
import { connect, type Socket } from "node:net"

interface Stream {
  readonly socket: Socket
  /** As `info network` prints it after `type=stream,`. */
  told: string
}

type Values = Readonly<Record<string, unknown>>

export class Netdevs {
  readonly #say: (event: string, data: unknown) => void
  readonly #streams = new Map<string, Stream>()
  /** Port to stream. */
  readonly #ports = new Map<string, string>()

  constructor(say: (event: string, data: unknown) => void) {
    this.#say = say
  }

  /** The answer to a command about networks; undefined for another one. */
  run(command: string, values: Values): unknown {
    if (command === "netdev_add") return this.#add(values)
    if (command === "netdev_del") return this.#remove(String(values["id"]))
    if (command === "human-monitor-command" && values["command-line"] === "info network")
      return { return: this.#info() }
    return undefined
  }

  #add(values: Values): unknown {
    const id = String(values["id"])
    if (values["type"] === "hubport") this.#ports.set(id, String(values["netdev"]))
    else this.#streams.set(id, this.#open(id, values["addr"] as { readonly path: string }))
    return { return: {} }
  }

  #open(id: string, { path }: { readonly path: string }): Stream {
    const socket = connect({ path })
    const stream: Stream = { socket, told: "" }
    let joined = false
    socket.on("connect", () => {
      joined = true
      stream.told = `unix:${path}`
      this.#say("NETDEV_STREAM_CONNECTED", { "netdev-id": id, addr: { path, type: "unix" } })
    })
    socket.on("error", () => {
      if (!joined) stream.told = "connection error"
    })
    socket.on("close", () => {
      if (!joined || this.#streams.get(id) !== stream) return
      stream.told = ""
      this.#say("NETDEV_STREAM_DISCONNECTED", { "netdev-id": id })
    })
    socket.resume()
    return stream
  }

  #remove(id: string): unknown {
    const stream = this.#streams.get(id)
    stream?.socket.destroy()
    if (this.#streams.delete(id) || this.#ports.delete(id)) return { return: {} }
    return { error: { class: "DeviceNotFound", desc: `Device '${id}' not found` } }
  }

  #info(): string {
    const rows = [...this.#streams].map(([id, { told }]) => {
      const port = [...this.#ports].find(([, stream]) => stream === id)?.[0]
      const row = `${id}: index=0,type=stream,${told}`
      return port === undefined ? row : ` \\ ${port}: ${row}`
    })
    return ["hub 0", ...rows, " \\ net0", ""].join("\r\n")
  }
}
