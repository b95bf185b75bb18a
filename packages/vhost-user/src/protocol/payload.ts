/**
 * The payloads of vhost-user messages, in the byte order of the host (docs/interop/vhost-user.rst, "Message specification").
 *
 * Addresses and sizes are numbers: one of 2^53 or more is no address of any machine and is "bad-address". `parse…` never throws.
 *
 * @module
 */
import { setU32, u32 } from "./header.ts"

export type MalformedPayload = "bad-size" | "bad-address" | "bad-count" | "bad-index"

/** `SET_VRING_NUM`, `SET_VRING_BASE`, `GET_VRING_BASE`, `SET_VRING_ENABLE`. */
export interface VringState {
  readonly index: number
  readonly value: number
}

export const VRING_STATE = 8

export function parseVringState(bytes: Uint8Array, at: number, end: number): VringState | MalformedPayload {
  if (end - at !== VRING_STATE) return "bad-size"
  return { index: u32(bytes, at), value: u32(bytes, at + 4) }
}

export function emitVringState(state: VringState, bytes: Uint8Array, at: number): void {
  setU32(bytes, at, state.index)
  setU32(bytes, at + 4, state.value)
}

/** `SET_VRING_ADDR`: where the three parts of a ring are, as addresses of the front end's process. */
export interface VringAddress {
  readonly index: number
  readonly logsDirtyPages: boolean
  readonly descriptors: number
  readonly used: number
  readonly available: number
}

export const VRING_ADDRESS = 40
const LOG_DIRTY = 1

export function parseVringAddress(
  bytes: Uint8Array,
  at: number,
  end: number,
): VringAddress | MalformedPayload {
  if (end - at !== VRING_ADDRESS) return "bad-size"
  const descriptors = u64(bytes, at + 8)
  const used = u64(bytes, at + 16)
  const available = u64(bytes, at + 24)
  if (descriptors < 0 || used < 0 || available < 0) return "bad-address"
  const flags = u32(bytes, at + 4)
  return { index: u32(bytes, at), logsDirtyPages: (flags & LOG_DIRTY) !== 0, descriptors, used, available }
}

export function emitVringAddress(address: VringAddress, bytes: Uint8Array, at: number): void {
  setU32(bytes, at, address.index)
  setU32(bytes, at + 4, address.logsDirtyPages ? LOG_DIRTY : 0)
  setU64(bytes, at + 8, address.descriptors)
  setU64(bytes, at + 16, address.used)
  setU64(bytes, at + 24, address.available)
  setU64(bytes, at + 32, 0)
}

/** `SET_VRING_KICK`, `SET_VRING_CALL`, `SET_VRING_ERR`: which ring, and whether a descriptor comes with the message. */
export interface VringDescriptor {
  readonly index: number
  readonly hasDescriptor: boolean
}

const INDEX_MASK = 0xff
const NO_DESCRIPTOR = 1 << 8

export function parseVringDescriptor(
  bytes: Uint8Array,
  at: number,
  end: number,
): VringDescriptor | MalformedPayload {
  if (end - at !== 8) return "bad-size"
  const low = u32(bytes, at)
  if ((low & ~(INDEX_MASK | NO_DESCRIPTOR)) !== 0 || u32(bytes, at + 4) !== 0) return "bad-index"
  return { index: low & INDEX_MASK, hasDescriptor: (low & NO_DESCRIPTOR) === 0 }
}

export function emitVringDescriptor(value: VringDescriptor, bytes: Uint8Array, at: number): void {
  setU32(bytes, at, value.index | (value.hasDescriptor ? 0 : NO_DESCRIPTOR))
  setU32(bytes, at + 4, 0)
}

/** A part of the guest's memory. One descriptor comes with each. */
export interface MemoryRegion {
  readonly guestAddress: number
  readonly size: number
  /** Where the front end's process has it. */
  readonly userAddress: number
  /** Where in the file of its descriptor it begins. */
  readonly mapOffset: number
}

/** More come by `ADD_MEM_REG` only; the table of one message has room for so many. */
export const REGIONS_MAX = 8
export const MEMORY_REGION = 32
const TABLE_HEAD = 8

export function parseMemoryTable(
  bytes: Uint8Array,
  at: number,
  end: number,
): readonly MemoryRegion[] | MalformedPayload {
  if (end - at < TABLE_HEAD) return "bad-size"
  const count = u32(bytes, at)
  if (count > REGIONS_MAX) return "bad-count"
  if (end - at < TABLE_HEAD + count * MEMORY_REGION) return "bad-size"
  const regions: MemoryRegion[] = []
  for (let i = 0; i < count; i++) {
    const region = parseRegion(bytes, at + TABLE_HEAD + i * MEMORY_REGION)
    if (typeof region === "string") return region
    regions.push(region)
  }
  return regions
}

export function sizeOfMemoryTable(regions: readonly MemoryRegion[]): number {
  return TABLE_HEAD + regions.length * MEMORY_REGION
}

export function emitMemoryTable(regions: readonly MemoryRegion[], bytes: Uint8Array, at: number): void {
  setU64(bytes, at, regions.length)
  for (const [i, region] of regions.entries()) emitRegion(region, bytes, at + TABLE_HEAD + i * MEMORY_REGION)
}

/** `ADD_MEM_REG` and `REM_MEM_REG`: eight bytes of padding, then one region. */
export function parseSingleRegion(
  bytes: Uint8Array,
  at: number,
  end: number,
): MemoryRegion | MalformedPayload {
  if (end - at !== TABLE_HEAD + MEMORY_REGION) return "bad-size"
  return parseRegion(bytes, at + TABLE_HEAD)
}

function parseRegion(bytes: Uint8Array, at: number): MemoryRegion | MalformedPayload {
  const guestAddress = u64(bytes, at)
  const size = u64(bytes, at + 8)
  const userAddress = u64(bytes, at + 16)
  const mapOffset = u64(bytes, at + 24)
  if (guestAddress < 0 || size <= 0 || userAddress < 0 || mapOffset < 0) return "bad-address"
  const ends = [guestAddress + size, userAddress + size, mapOffset + size]
  if (!ends.every((end) => Number.isSafeInteger(end))) return "bad-address"
  return { guestAddress, size, userAddress, mapOffset }
}

function emitRegion(region: MemoryRegion, bytes: Uint8Array, at: number): void {
  setU64(bytes, at, region.guestAddress)
  setU64(bytes, at + 8, region.size)
  setU64(bytes, at + 16, region.userAddress)
  setU64(bytes, at + 24, region.mapOffset)
}

/** `GET_CONFIG` and `SET_CONFIG`: a part of the device's configuration space; its bytes follow at `start`. */
export interface ConfigPart {
  readonly offset: number
  readonly size: number
  readonly flags: number
  readonly start: number
}

export const CONFIG_HEAD = 12
/** What the configuration space of a device may have: VHOST_USER_MAX_CONFIG_SIZE. */
export const CONFIG_MAX = 256

export function parseConfig(bytes: Uint8Array, at: number, end: number): ConfigPart | MalformedPayload {
  if (end - at < CONFIG_HEAD) return "bad-size"
  const offset = u32(bytes, at)
  const size = u32(bytes, at + 4)
  if (size > CONFIG_MAX || offset > CONFIG_MAX - size) return "bad-count"
  if (end - at !== CONFIG_HEAD + size) return "bad-size"
  return { offset, size, flags: u32(bytes, at + 8), start: at + CONFIG_HEAD }
}

export function emitConfigHead(part: Omit<ConfigPart, "start">, bytes: Uint8Array, at: number): void {
  setU32(bytes, at, part.offset)
  setU32(bytes, at + 4, part.size)
  setU32(bytes, at + 8, part.flags)
}

/** A 64-bit set of features, or of anything that has bits. */
export function parseBits(bytes: Uint8Array, at: number, end: number): bigint | MalformedPayload {
  if (end - at !== 8) return "bad-size"
  return BigInt(u32(bytes, at)) | (BigInt(u32(bytes, at + 4)) << 32n)
}

export function emitBits(bits: bigint, bytes: Uint8Array, at: number): void {
  setU32(bytes, at, Number(bits & 0xffff_ffffn))
  setU32(bytes, at + 4, Number((bits >> 32n) & 0xffff_ffffn))
}

/** Negative where the number does not fit into a safe integer. */
function u64(bytes: Uint8Array, at: number): number {
  const high = u32(bytes, at + 4)
  return high >= 2 ** 21 ? -1 : high * 2 ** 32 + u32(bytes, at)
}

function setU64(bytes: Uint8Array, at: number, value: number): void {
  setU32(bytes, at, value >>> 0)
  setU32(bytes, at + 4, Math.floor(value / 2 ** 32))
}
