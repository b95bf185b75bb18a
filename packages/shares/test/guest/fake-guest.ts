/**
 * The guest's end of a connection, in the test's hands.
 *
 * @module
 */
import { Duplex } from "node:stream"
import { withResolvers } from "@skep/runtime"

export const BOOT_ID = "8cafe1b0-ec95-43fa-845e-3266066b9e5f"
export const OTHER_BOOT_ID = "00000000-ec95-43fa-845e-3266066b9e5f"

export class FakeGuest {
  /** What the host has. */
  readonly host: Duplex
  #heard = ""
  #wake: () => void = () => undefined

  constructor() {
    this.host = new Duplex({
      read: () => undefined,
      write: (chunk, _encoding, done) => {
        this.#heard += String(chunk)
        this.#wake()
        done()
      },
    })
  }

  say(text: string | Uint8Array): void {
    this.host.push(text)
  }

  hangUp(): void {
    this.host.push(null)
  }

  /** The next line of the host. */
  async hears(): Promise<string> {
    for (;;) {
      const end = this.#heard.indexOf("\n")
      if (end >= 0) {
        const line = this.#heard.slice(0, end)
        this.#heard = this.#heard.slice(end + 1)
        return line
      }
      const more = withResolvers<void>()
      this.#wake = more.resolve
      await more.promise
    }
  }
}
