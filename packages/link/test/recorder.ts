/**
 * A receiver that writes down what it hears, and answers if the test wants it to.
 *
 * @module
 */
import type { Frame, Link, Offload, Receiver } from "../src/index.ts"

export interface Heard {
  /** The whole frame, read by address. */
  readonly bytes: Uint8Array
  readonly offload: Offload
  readonly trusted: boolean
}

export class Recorder implements Receiver {
  readonly frames: Heard[] = []
  readonly carriers: boolean[] = []
  settles = 0
  rooms = 0
  /** Called with each frame. */
  answer: (heard: Heard) => void = () => undefined
  room: () => void = () => undefined
  readonly #link: Link

  constructor(link: Link) {
    this.#link = link
    link.receiver = this
  }

  onFrame(frame: Frame): void {
    const heard = { bytes: wholeOf(this.#link, frame), offload: { ...frame.offload }, trusted: frame.trusted }
    this.frames.push(heard)
    this.answer(heard)
  }

  onSettle(): void {
    this.settles++
  }

  onRoom(): void {
    this.rooms++
    this.room()
  }

  onCarrier(up: boolean): void {
    this.carriers.push(up)
  }
}

/** All bytes of a frame, by its parts; what can be read directly must be the same. */
function wholeOf(link: Link, frame: Frame): Uint8Array {
  const bytes = new Uint8Array(frame.length)
  let at = 0
  for (let index = 0; index < frame.parts.count; index++) {
    link.memory.read(frame.parts.addressAt(index), frame.parts.lengthAt(index), bytes, at)
    at += frame.parts.lengthAt(index)
  }
  const head = frame.bytes.subarray(frame.at, frame.at + frame.head)
  if (at !== frame.length || Buffer.compare(head, bytes.subarray(0, frame.head)) !== 0)
    throw new Error("the head of the frame is not its beginning")
  return bytes
}
