/**
 * Who said that it mounted what, for DUMP. Advice for people, as RFC 1813 appendix I §5.2 says: clients forget to unmount.
 *
 * @module
 */

export interface Mount {
  readonly host: string
  readonly directory: string
}

const MOUNTS_MAX = 256

export class Mounts {
  readonly #mounts = new Map<string, Mount>()

  add(mount: Mount): void {
    const key = keyOf(mount)
    this.#mounts.delete(key)
    for (const oldest of this.#mounts.keys()) {
      if (this.#mounts.size < MOUNTS_MAX) break
      this.#mounts.delete(oldest)
    }
    this.#mounts.set(key, mount)
  }

  remove(mount: Mount): void {
    this.#mounts.delete(keyOf(mount))
  }

  /** Forgets all of one host. */
  clear(host: string): void {
    for (const [key, mount] of this.#mounts) if (mount.host === host) this.#mounts.delete(key)
  }

  list(): readonly Mount[] {
    return [...this.#mounts.values()]
  }
}

function keyOf({ host, directory }: Mount): string {
  return `${host}\0${directory}`
}
