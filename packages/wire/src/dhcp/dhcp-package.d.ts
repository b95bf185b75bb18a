/**
 * What is used of `dhcp` 0.2.20, which has no types of its own.
 *
 * @module
 */

declare module "dhcp/lib/protocol.js" {
  /** The fixed part. Addresses are dotted quads, the hardware address is AA-BB-CC-DD-EE-FF. */
  interface Header {
    readonly op: number
    readonly htype: number
    readonly hlen: number
    readonly hops: number
    readonly xid: number
    readonly secs: number
    readonly flags: number
    readonly ciaddr: string
    readonly yiaddr: string
    readonly siaddr: string
    readonly giaddr: string
    readonly chaddr: string
    readonly sname: string
    readonly file: string
    readonly options: Readonly<Record<number, unknown>>
  }

  const protocol: {
    /** Throws for less than 230 bytes and for hardware that is not Ethernet; reads options past their end. */
    parse(bytes: Buffer): Header
    /** Writes 240 bytes, the options and an end. Throws for addresses that are none. */
    format(header: Header): { readonly _data: Buffer; readonly _w: number }
  }
  export default protocol
}

declare module "dhcp/lib/options.js" {
  interface Option {
    readonly name: string
    readonly type: string
  }
  const options: { readonly opts: Readonly<Record<number, Option | undefined>> }
  export default options
}

declare module "dhcp/lib/seqbuffer.js" {
  class SeqBuffer {
    constructor(bytes?: Buffer, length?: number)
    readonly _data: Buffer
    /** Where it writes next. */
    readonly _w: number
    /** One code, length and value for each; strings of more than 255 bytes are cut. */
    addOptions(options: Readonly<Record<number, unknown>>): void
    getUInt8(): number
    getUInt16(): number
    getUInt32(): number
    getInt32(): number
    getIP(): string
    getIPs(length: number): string[]
    getASCII(length: number): string
    getUInt8s(length: number): number[]
    getUInt16s(length: number): number[]
  }
  export default SeqBuffer
}
