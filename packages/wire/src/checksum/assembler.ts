/**
 * Enough of a WebAssembly assembler to write one function in TypeScript: the WebAssembly Core Specification 2.0, chapter 5 (binary format).
 *
 * A piece of code is an array of bytes and of further pieces. Instructions are named as in the text format.
 *
 * @module
 */

export type Code = number | readonly Code[]

export const I32 = 0x7f
export const V128 = 0x7b
const FUNCTION = 0x60
const NO_RESULT = 0x40

export function localGet(index: number): Code {
  return [0x20, unsigned(index)]
}

export function localSet(index: number): Code {
  return [0x21, unsigned(index)]
}

export function i32Const(value: number): Code {
  return [0x41, signed(value)]
}

/** Reads one byte at the address on the stack. */
export const I32_LOAD8_U: Code = [0x2d, 0, 0]
/** Reads two bytes, of which the first is the lower one. */
export const I32_LOAD16_U: Code = [0x2f, 0, 0]
export const I32_LE_U = 0x4d
export const I32_ADD = 0x6a
export const I32_SUB = 0x6b
export const I32_AND = 0x71
export const I32_OR = 0x72
export const I32_SHL = 0x74
export const I32_SHR_U = 0x76

/** Reads 16 bytes, `offset` after the address on the stack. */
export function v128Load(offset: number): Code {
  return [0xfd, 0x00, 0, unsigned(offset)]
}

export const I32X4_ADD: Code = [0xfd, unsigned(0xae)]
/** Adds neighbours of eight unsigned 16-bit lanes. */
export const I32X4_EXTADD_PAIRWISE_I16X8_U: Code = [0xfd, 0x7f]

export function i32x4ExtractLane(lane: number): Code {
  return [0xfd, 0x1b, lane]
}

/** Does the body while the condition holds. */
export function whileDo(condition: Code, body: Code): Code {
  const [block, loop, if_, br, end] = [0x02, 0x03, 0x04, 0x0c, 0x0b]
  // Branch 1 leaves the `if` for the head of the loop.
  return [block, NO_RESULT, loop, NO_RESULT, condition, if_, NO_RESULT, body, br, 1, end, end, end]
}

export interface FunctionOfMemory {
  /** Types of the parameters, then of further locals. Both are counted from 0 on, in this order. */
  readonly parameters: readonly number[]
  readonly locals: readonly number[]
  readonly result: number
  readonly body: Code
}

/** A module that imports memory 0 as `host.memory` and exports one function as `run`. */
export function assemble(fn: FunctionOfMemory): Uint8Array<ArrayBuffer> {
  const locals = fn.locals.map((type): Code => [unsigned(1), type])
  return Uint8Array.from(
    flat([
      [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      section(1, [[FUNCTION, vec(fn.parameters), vec([fn.result])]]),
      section(2, [[name("host"), name("memory"), 0x02, 0x00, unsigned(0)]]),
      section(3, [unsigned(0)]),
      section(7, [[name("run"), 0x00, unsigned(0)]]),
      section(10, [sized([vec(locals), fn.body, 0x0b])]),
    ]),
  )
}

function section(id: number, entries: readonly Code[]): Code {
  return [id, sized(vec(entries))]
}

function vec(entries: readonly Code[]): Code {
  return [unsigned(entries.length), entries]
}

function sized(code: Code): Code {
  return [unsigned(flat(code).length), code]
}

function name(text: string): Code {
  return vec([...Buffer.from(text)])
}

function flat(code: Code): number[] {
  return typeof code === "number" ? [code] : code.flatMap(flat)
}

/** LEB128. */
function unsigned(value: number): Code {
  return value < 0x80 ? value : [(value & 0x7f) | 0x80, unsigned(value >>> 7)]
}

function signed(value: number): Code {
  return value >= -0x40 && value < 0x40 ? value & 0x7f : [(value & 0x7f) | 0x80, signed(value >> 7)]
}
