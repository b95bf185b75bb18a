/**
 * The Unix socket where a front end finds the device: one at a time, as many after each other as come.
 *
 * @module
 */
import type { Loop, Scope } from "@skep/loop"
import { type AcceptorOptions, acceptClients } from "../socket/acceptor.ts"
import { Connection, type ConnectionOptions } from "./connection.ts"

export interface ServerOptions
  extends Pick<ConnectionOptions, "device" | "memory" | "onBroken" | "onMessage"> {
  /** A listening socket, owned from now on. */
  readonly fd: number
  readonly onConnect?: () => void
  readonly onDisconnect?: (reason: string) => void
  /** A front end waits, as accept(2) failed with this error: see `acceptClients`. */
  readonly onPause?: AcceptorOptions["onPause"]
}

/** Serves the device on the loop until it is disposed. */
export class Server implements Disposable {
  readonly #options: ServerOptions
  readonly #scope: Scope
  #connection: Connection | undefined

  constructor(loop: Loop, options: ServerOptions) {
    this.#options = options
    this.#scope = loop.scope(options.device.name, () => undefined)
    acceptClients({
      scope: this.#scope,
      fd: options.fd,
      onClient: (fd) => this.#serve(fd),
      ...(options.onPause === undefined ? {} : { onPause: options.onPause }),
    })
  }

  /** The front end that is there. */
  get connection(): Connection | undefined {
    return this.#connection
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]()
  }

  #serve(fd: number): void {
    // A second front end means that the first is dead and its hang-up is still on the way.
    this.#connection?.[Symbol.dispose]()
    const { device, memory, onBroken, onMessage, onConnect, onDisconnect } = this.#options
    const connection: Connection = new Connection({
      fd,
      device,
      scope: this.#scope,
      ...(memory === undefined ? {} : { memory }),
      ...(onBroken === undefined ? {} : { onBroken }),
      ...(onMessage === undefined ? {} : { onMessage }),
      onEnd: (reason) => {
        if (this.#connection === connection) this.#connection = undefined
        onDisconnect?.(reason)
      },
    })
    this.#connection = connection
    onConnect?.()
  }
}
