/**
 * The numbers of the DNS that something here depends on: types, classes, codes, flags.
 *
 * RFC 1035 section 3.2 and 4.1.1, RFC 3596 (AAAA), RFC 6891 (OPT), RFC 9460 (SVCB, HTTPS), RFC 8914 (extended errors); the rest of the types
 * passes by number.
 *
 * @module
 */

export const TYPE = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  AAAA: 28,
  OPT: 41,
  SVCB: 64,
  HTTPS: 65,
  TKEY: 249,
  TSIG: 250,
  IXFR: 251,
  AXFR: 252,
  MAILB: 253,
  MAILA: 254,
  ANY: 255,
} as const

export const CLASS_IN = 1

export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  /** Twelve bits: the upper eight stand in the OPT record. */
  BADVERS: 16,
} as const

/** Bits of the second word of the header. */
export const FLAG = {
  /** This is a response. */
  QR: 0x8000,
  /** From who is responsible for the name. */
  AA: 0x0400,
  /** Cut: ask again over TCP. */
  TC: 0x0200,
  /** Recursion desired. */
  RD: 0x0100,
  /** Recursion available. */
  RA: 0x0080,
  /** Authentic data. */
  AD: 0x0020,
  /** Checking disabled. */
  CD: 0x0010,
} as const

/** In the flags of an OPT record: the asker understands DNSSEC. */
export const DO = 0x8000

/** Why an answer is as it is, in words that `dig` shows (RFC 8914). */
export const EXTENDED_ERROR = {
  BLOCKED: 15,
  NO_REACHABLE_AUTHORITY: 22,
} as const

export function opcode(flags: number): number {
  return (flags >>> 11) & 0xf
}

export function rcode(flags: number): number {
  return flags & 0xf
}
