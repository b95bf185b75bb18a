/**
 * The sum of RFC 1071 by WebAssembly's SIMD instructions, over memory that does not move.
 *
 * A one's complement sum does not care which way round bytes are (RFC 1071, section 2 (B)): lanes are little-endian, and only the result is
 * turned. Each of four 32-bit lanes takes two 16-bit words of every 16 bytes, so none overflows within `AT_ONCE`.
 *
 * @module
 */
import {
  assemble,
  type Code,
  I32,
  I32_ADD,
  I32_AND,
  I32_LE_U,
  I32_LOAD8_U,
  I32_LOAD16_U,
  I32_OR,
  I32_SHL,
  I32_SHR_U,
  I32_SUB,
  I32X4_ADD,
  I32X4_EXTADD_PAIRWISE_I16X8_U,
  i32Const,
  i32x4ExtractLane,
  localGet,
  localSet,
  V128,
  v128Load,
  whileDo,
} from "./assembler.ts"
import { compile, link, type WasmMemory } from "./web-assembly.ts"

/** Adds `length` bytes at `offset` of the memory to `seed`, as `sum` does. Checks no bounds: outside the memory WebAssembly traps. */
export type Summer = (offset: number, length: number, seed: number) => number

const VECTOR = 16
const STEP = 4 * VECTOR
/** Half of what a lane can take: 2^32 / (2 × 0xffff) vectors. */
const AT_ONCE = 256 * 1024

const OFFSET = 0
const LENGTH = 1
const SEED = 2
const END = 3
const TOTAL = 4
const EVEN = 5
const ODD = 6

let compiled: object | undefined

/**
 * Binds to a memory, which must be neither shared nor grown while this is in use. Compiled when something is summed up first: where both ends of a link
 * leave checksums to each other nothing ever is, and the compiler takes a megabyte.
 */
export function wasmSummer(memory: WasmMemory): Summer {
  let run: Summer | undefined
  return (offset, length, seed) => {
    run ??= link((compiled ??= compile(moduleBytes())), memory)
    if (length <= AT_ONCE) return run(offset, length, seed)
    let total = seed
    for (let done = 0; done < length; done += AT_ONCE) {
      total = run(offset + done, Math.min(AT_ONCE, length - done), total)
    }
    return total
  }
}

function moduleBytes(): Uint8Array<ArrayBuffer> {
  return assemble({
    parameters: [I32, I32, I32],
    locals: [I32, I32, V128, V128],
    result: I32,
    body: [
      [localGet(OFFSET), localGet(LENGTH), I32_ADD, localSet(END)],
      whileDo(left(STEP), [
        addVector(EVEN, 0),
        addVector(ODD, VECTOR),
        addVector(EVEN, 2 * VECTOR),
        addVector(ODD, 3 * VECTOR),
        advance(STEP),
      ]),
      whileDo(left(VECTOR), [addVector(EVEN, 0), advance(VECTOR)]),
      foldLanes(),
      whileDo(left(2), [addToTotal([localGet(OFFSET), I32_LOAD16_U]), advance(2)]),
      // The first byte of a word is the lower one here.
      whileDo(left(1), [addToTotal([localGet(OFFSET), I32_LOAD8_U]), advance(1)]),
      foldTotal(),
      turnTotal(),
      addToTotal(localGet(SEED)),
      foldTotal(),
      localGet(TOTAL),
    ],
  })
}

/** Whether so many bytes are left. */
function left(count: number): Code {
  return [i32Const(count), localGet(END), localGet(OFFSET), I32_SUB, I32_LE_U]
}

function advance(count: number): Code {
  return [localGet(OFFSET), i32Const(count), I32_ADD, localSet(OFFSET)]
}

function addVector(accumulator: number, offset: number): Code {
  const words = [localGet(OFFSET), v128Load(offset), I32X4_EXTADD_PAIRWISE_I16X8_U]
  return [localGet(accumulator), words, I32X4_ADD, localSet(accumulator)]
}

function addToTotal(value: Code): Code {
  return [localGet(TOTAL), value, I32_ADD, localSet(TOTAL)]
}

/** Each lane is folded once before it is added, so that the total stays below 2^20. */
function foldLanes(): Code {
  const lanes = [EVEN, ODD].flatMap((accumulator) =>
    [0, 1, 2, 3].map((index): Code => [localGet(accumulator), i32x4ExtractLane(index)]),
  )
  return lanes.map((lane) => [addToTotal([lane, lowHalf()]), addToTotal([lane, highHalf()])])
}

/** Twice: the first may carry. */
function foldTotal(): Code {
  const once = [localGet(TOTAL), lowHalf(), localGet(TOTAL), highHalf(), I32_ADD, localSet(TOTAL)]
  return [once, once]
}

function turnTotal(): Code {
  const up = [localGet(TOTAL), i32Const(0xff), I32_AND, i32Const(8), I32_SHL]
  return [up, localGet(TOTAL), i32Const(8), I32_SHR_U, I32_OR, localSet(TOTAL)]
}

function lowHalf(): Code {
  return [i32Const(0xffff), I32_AND]
}

function highHalf(): Code {
  return [i32Const(16), I32_SHR_U]
}
