/**
 * XDR for tests, written apart from the server's: growing arrays, bigint, and errors where something is missing.
 *
 * @module
 */

export class XdrWriter {
  readonly #parts: Buffer[] = []

  u32(value: number): this {
    const part = Buffer.alloc(4)
    part.writeUInt32BE(value >>> 0)
    this.#parts.push(part)
    return this
  }

  u64(value: bigint | number): this {
    const part = Buffer.alloc(8)
    part.writeBigUInt64BE(BigInt(value))
    this.#parts.push(part)
    return this
  }

  fixed(bytes: Uint8Array): this {
    this.#parts.push(Buffer.from(bytes), Buffer.alloc(-bytes.length & 3))
    return this
  }

  opaque(value: Uint8Array | string): this {
    const bytes = typeof value === "string" ? Buffer.from(value) : value
    return this.u32(bytes.length).fixed(bytes)
  }

  done(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

export class XdrReader {
  readonly bytes: Buffer
  at = 0

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  get left(): number {
    return this.bytes.length - this.at
  }

  u32(): number {
    const value = this.bytes.readUInt32BE(this.at)
    this.at += 4
    return value
  }

  u64(): bigint {
    const value = this.bytes.readBigUInt64BE(this.at)
    this.at += 8
    return value
  }

  fixed(length: number): Buffer {
    if (length > this.left) throw new RangeError(`${length} bytes wanted, ${this.left} left`)
    const value = Buffer.from(this.bytes.subarray(this.at, this.at + length))
    this.at += length + (-length & 3)
    return value
  }

  opaque(): Buffer {
    return this.fixed(this.u32())
  }
}
