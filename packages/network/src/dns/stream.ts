/**
 * DNS messages in a stream: each after its length in two bytes, RFC 1035 section 4.2.2.
 *
 * @module
 */
import { putU16, u16 } from "@skep/wire/bytes"
import { copyOf } from "./message/bytes.ts"
import { MESSAGE_MAX } from "./message/message.ts"

const PREFIX = 2

/** The message with its length before it. It has at most `MESSAGE_MAX` bytes. */
export function framed(message: Uint8Array): Uint8Array {
  if (message.length > MESSAGE_MAX) throw new Error(`a message of ${message.length} bytes cannot be framed`)
  const frame = new Uint8Array(PREFIX + message.length)
  putU16(frame, 0, message.length)
  frame.set(message, PREFIX)
  return frame
}

/** Cuts a stream into messages of at most `largest` bytes. Holds no more than one that is not whole yet. */
export class Messages {
  readonly #largest: number
  #held: Uint8Array = new Uint8Array(0)

  constructor(largest: number) {
    this.#largest = largest
  }

  /** Whether a message has begun and is not whole. */
  get pending(): boolean {
    return this.#held.length > 0
  }

  /**
   * Takes what came and returns the messages that are whole now, copies of it. "oversize" where one is announced that is larger than allowed:
   * the rest of the stream means nothing then.
   */
  read(chunk: Uint8Array): readonly Uint8Array[] | "oversize" {
    const bytes = this.#held.length === 0 ? chunk : joined(this.#held, chunk)
    const messages: Uint8Array[] = []
    let at = 0
    while (bytes.length - at >= PREFIX) {
      const length = u16(bytes, at)
      if (length > this.#largest) return "oversize"
      const end = at + PREFIX + length
      if (end > bytes.length) break
      messages.push(copyOf(bytes, at + PREFIX, end))
      at = end
    }
    this.#held = copyOf(bytes, at)
    return messages
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(first.length + second.length)
  bytes.set(first)
  bytes.set(second, first.length)
  return bytes
}
