/**
 * Lines of bytes, one after the other, without an object for each.
 *
 * @module
 */
import { u8 } from "@skep/wire/bytes"

export const LF = 0x0a
export const CR = 0x0d
export const TAB = 0x09
export const SPACE = 0x20

/** Stands before the first line until `advance` is called. */
export class Lines {
  readonly bytes: Uint8Array
  /** From 1. */
  number = 0
  start = 0
  /** Without the line feed. */
  end = 0
  /** Where the next line begins. */
  next = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  /** Whether there was another line. */
  advance(): boolean {
    const { bytes } = this
    const { length } = bytes
    if (this.next >= length) return false
    this.start = this.next
    let at = this.next
    while (at < length && u8(bytes, at) !== LF) at++
    this.end = at
    this.next = at < length ? at + 1 : at
    this.number++
    return true
  }

  /** Whether the line has its line feed: only the last one may not. */
  get isWhole(): boolean {
    return this.next > this.end
  }
}

/** Whether nothing but blanks is between two places. */
export function isBlank(bytes: Uint8Array, at: number, end: number): boolean {
  return skipBlanks(bytes, at, end) === end
}

/** The first place from `at` on that is no blank, tab or end of a line; `end` where there is none. */
export function skipBlanks(bytes: Uint8Array, at: number, end: number): number {
  let place = at
  while (place < end && isSpace(u8(bytes, place))) place++
  return place
}

/** The place behind the last byte that is no blank. */
export function trimEnd(bytes: Uint8Array, at: number, end: number): number {
  let place = end
  while (place > at && isSpace(u8(bytes, place - 1))) place--
  return place
}

export function isSpace(byte: number): boolean {
  return byte === SPACE || byte === LF || byte === TAB || byte === CR
}
