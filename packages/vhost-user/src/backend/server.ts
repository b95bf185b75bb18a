/**
 * The Unix socket where a front end finds the device: one at a time, as many after each other as come.
 *
 * @module
 */
import { check, type Loop, type Scope } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { Connection, type ConnectionOptions } from "./connection.ts"

export interface ServerOptions
  extends Pick<ConnectionOptions, "device" | "memory" | "onBroken" | "onMessage"> {
  /** A listening socket, owned from now on. */
  readonly fd: number
  readonly onConnect?: () => void
  readonly onDisconnect?: (reason: string) => void
}

/** Listens on a Unix socket whose path is free. The caller owns the path. Throws the `SystemError` of what refused. */
export function listenUnix(path: string): number {
  const fd = check(sys.socket(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK), "socket")
  try {
    check(sys.bind(fd, { family: "unix", path }), "bind", path)
    check(sys.listen(fd, 1), "listen", path)
    return fd
  } catch (error) {
    sys.close(fd)
    throw error
  }
}

/** Serves the device on the loop until it is disposed. */
export class Server implements Disposable {
  readonly #options: ServerOptions
  readonly #scope: Scope
  #connection: Connection | undefined

  constructor(loop: Loop, options: ServerOptions) {
    this.#options = options
    this.#scope = loop.scope(options.device.name, () => undefined)
    this.#scope.adopt(options.fd, sys.EPOLLIN, () => this.#accept())
  }

  /** The front end that is there. */
  get connection(): Connection | undefined {
    return this.#connection
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]()
  }

  #accept(): void {
    const fd = sys.accept(this.#options.fd, sys.SOCK_NONBLOCK)
    if (fd < 0) return // gone again, or no descriptors left: the next event tries anew
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
