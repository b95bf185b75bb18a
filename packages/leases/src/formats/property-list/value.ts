/**
 * What a property list of macOS can say, and how much of it is read.
 *
 * @module
 */
export type Value = string | number | boolean | readonly Value[] | Dictionary | Uint8Array
/** A map, so that `__proto__` is a key as any other. */
export type Dictionary = ReadonlyMap<string, Value>

/** The file is no property list, or none that is read here. The line is 1 in a binary one. */
export class Malformed extends Error {
  override readonly name = "Malformed"
  readonly line: number

  constructor(line: number, sentence: string) {
    super(sentence)
    this.line = line
  }
}

const VALUES_MAX = 10_000
const DEPTH_MAX = 32

/** Counts values, so that a small file cannot mean an endless one. */
export class Budget {
  #values = 0

  /** Called for each value, with how many lists and dictionaries are around it. Throws Malformed. */
  spend(depth: number, line: number): void {
    if (depth > DEPTH_MAX) throw new Malformed(line, `more than ${DEPTH_MAX} lists within each other`)
    if (++this.#values > VALUES_MAX) throw new Malformed(line, `more than ${VALUES_MAX} values`)
  }
}

export function isDictionary(value: Value | undefined): value is Dictionary {
  return value instanceof Map
}

export function isList(value: Value | undefined): value is readonly Value[] {
  return Array.isArray(value)
}
