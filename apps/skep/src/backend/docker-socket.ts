/**
 * The Docker socket of a machine: there as long as the machine is on record, and again where somebody has removed it.
 *
 * @module
 */
import { existsSync } from "node:fs"
import { type DockerProxy, type DockerProxyOptions, startDockerProxy } from "../docker/proxy.ts"

export class DockerSocket implements AsyncDisposable {
  readonly #options: DockerProxyOptions
  #proxy: DockerProxy | undefined

  constructor(options: DockerProxyOptions) {
    this.#options = options
  }

  /** Listens, unless it does. */
  async open(): Promise<void> {
    if (this.#proxy !== undefined && existsSync(this.#options.endpoint)) return
    await this[Symbol.asyncDispose]()
    this.#proxy = await startDockerProxy(this.#options)
  }

  /** Hangs up on every client and removes the socket. It may be opened again. */
  async [Symbol.asyncDispose](): Promise<void> {
    const proxy = this.#proxy
    this.#proxy = undefined
    await proxy?.[Symbol.asyncDispose]()
  }
}
