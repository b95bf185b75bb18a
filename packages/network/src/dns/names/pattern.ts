/**
 * Patterns of zone records: Go's regular expressions, as far as names need them, matched in time linear in the name.
 *
 * The patterns come from whoever owns the network, the names from machines. JavaScript's own matcher backtracks, so a machine could make some
 * patterns take for ever; this one follows all ways at once (Thompson, 1968): a name of n characters costs at most n times the size of the pattern.
 *
 * Understood: characters, `.`, `\d \w \s` and their opposites, sets, groups, `|`, `* + ? {m,n}`, `^`, `$`. Refused: everything else.
 *
 * @module
 */

export interface Pattern {
  /** Whether it matches anywhere in `text`, which is in lower case. */
  test(text: string): boolean
}

const LENGTH_MAX = 200
const PROGRAM_MAX = 2000
const REPEAT_MAX = 64
const DEPTH_MAX = 16

type Step =
  | { readonly op: "one"; readonly of: (code: number) => boolean }
  | { readonly op: "fork"; readonly to: readonly [number, number] }
  | { readonly op: "start" }
  | { readonly op: "end" }
  | { readonly op: "match" }

/** A part of a program that can be written anywhere: its targets count from its own first step. */
type Piece = readonly Step[]

class Refused extends Error {
  override readonly name = "Refused"
}

/** Compiles `source`. Returns a sentence where it is not one that can be taken. */
export function parsePattern(source: string): Pattern | { readonly refused: string } {
  try {
    if (source.length > LENGTH_MAX) throw new Refused(`it has more than ${LENGTH_MAX} characters`)
    const reader = new Reader(source)
    const piece = reader.choice(0)
    if (reader.at < source.length) throw new Refused(`"${source.slice(reader.at)}" closes nothing`)
    const program: Piece = [...piece, { op: "match" }]
    return { test: (text) => run(program, text) }
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    return { refused: error.message }
  }
}

/** Reads one pattern from left to right. */
class Reader {
  readonly #source: string
  at = 0

  constructor(source: string) {
    this.#source = source
  }

  choice(depth: number): Piece {
    if (depth > DEPTH_MAX) throw new Refused("its groups are too deep")
    let piece = this.#sequence(depth)
    while (this.#take("|")) piece = either(piece, this.#sequence(depth))
    return piece
  }

  #sequence(depth: number): Piece {
    let piece: Piece = []
    while (this.at < this.#source.length && !"|)".includes(this.#peek())) {
      piece = join(piece, this.#repeated(this.#atom(depth)))
    }
    return piece
  }

  #atom(depth: number): Piece {
    const char = this.#next()
    if (char === "(") return this.#group(depth)
    if (char === "^") return [{ op: "start" }]
    if (char === "$") return [{ op: "end" }]
    if (char === ".") return [{ op: "one", of: () => true }]
    if (char === "[") return [{ op: "one", of: this.#set() }]
    if (char === "\\") return [{ op: "one", of: this.#escape() }]
    if ("*+?{".includes(char)) throw new Refused(`"${char}" repeats nothing`)
    return [{ op: "one", of: only(char) }]
  }

  #group(depth: number): Piece {
    if (this.#take("?") && !this.#take(":")) {
      // A named group is like any other: nobody asks what it took.
      const name = /^P?<\w+>/.exec(this.#source.slice(this.at))
      if (name === null) throw new Refused(`"(?${this.#source.slice(this.at)}" is not understood`)
      this.at += name[0].length
    }
    const piece = this.choice(depth + 1)
    if (!this.#take(")")) throw new Refused("a group is not closed")
    return piece
  }

  #repeated(piece: Piece): Piece {
    const repeat = this.#repeat()
    if (repeat === undefined) return piece
    this.#take("?") // matching early or late is the same where only the fact counts
    if ("*+?{".includes(this.#peek() || " ")) throw new Refused(`"${this.#peek()}" repeats a repeat`)
    const [least, most] = repeat
    let all: Piece = []
    for (let count = 0; count < least; count++) all = join(all, piece)
    if (most === undefined) return join(all, star(piece))
    let rest: Piece = []
    for (let count = least; count < most; count++) rest = maybe(join(piece, rest))
    return join(all, rest)
  }

  #repeat(): readonly [number, number | undefined] | undefined {
    if (this.#take("*")) return [0, undefined]
    if (this.#take("+")) return [1, undefined]
    if (this.#take("?")) return [0, 1]
    if (this.#peek() !== "{") return undefined
    const counts = /^\{(\d{1,2})(?:(,)(\d{1,2})?)?\}/.exec(this.#source.slice(this.at))
    const least = Number(counts?.[1])
    const most = Number(counts?.[3] ?? least)
    if (counts === null || most < least || most > REPEAT_MAX)
      throw new Refused(`"${this.#source.slice(this.at)}" is no count up to ${REPEAT_MAX}`)
    this.at += counts[0].length
    return [least, counts[2] !== undefined && counts[3] === undefined ? undefined : most]
  }

  #set(): (code: number) => boolean {
    const negated = this.#take("^")
    const members: ((code: number) => boolean)[] = []
    while (members.length === 0 || this.#peek() !== "]") {
      const char = this.#next()
      if (char === "\\") members.push(this.#escape())
      else if (this.#peek() === "-" && this.#source[this.at + 1] !== "]") {
        this.at++
        members.push(range(char, this.#next()))
      } else members.push(only(char))
    }
    this.at++
    return (code) => members.some((member) => member(code)) !== negated
  }

  #escape(): (code: number) => boolean {
    const char = this.#next()
    const kind = KINDS[char.toLowerCase()]
    if (kind !== undefined) return char === char.toLowerCase() ? kind : (code) => !kind(code)
    if (/[a-z0-9]/i.test(char)) throw new Refused(`"\\${char}" is not understood`)
    return only(char)
  }

  #peek(): string {
    return this.#source[this.at] ?? ""
  }

  #next(): string {
    const char = this.#source[this.at++]
    if (char === undefined) throw new Refused("it ends too early")
    return char
  }

  #take(char: string): boolean {
    if (this.#peek() !== char) return false
    this.at++
    return true
  }
}

const DIGIT = range("0", "9")
const LETTER = range("a", "z")
const KINDS: Readonly<Record<string, (code: number) => boolean>> = {
  d: DIGIT,
  w: (code) => DIGIT(code) || LETTER(code) || code === 0x5f,
  s: (code) => code === 0x20 || (code >= 0x09 && code <= 0x0d),
}

function only(char: string): (code: number) => boolean {
  const wanted = char.toLowerCase().charCodeAt(0)
  return (code) => code === wanted
}

function range(from: string, to: string): (code: number) => boolean {
  const first = from.toLowerCase().charCodeAt(0)
  const last = to.toLowerCase().charCodeAt(0)
  return (code) => code >= first && code <= last
}

function join(first: Piece, second: Piece): Piece {
  if (first.length + second.length > PROGRAM_MAX) throw new Refused("it repeats too much")
  return [...first, ...moved(second, first.length)]
}

function moved(piece: Piece, by: number): Piece {
  return piece.map((step) =>
    step.op === "fork" ? { op: "fork", to: [step.to[0] + by, step.to[1] + by] } : step,
  )
}

function either(first: Piece, second: Piece): Piece {
  const end = first.length + second.length + 2
  const skip = first.length + 2
  const fork: Step = { op: "fork", to: [1, skip] }
  return join([fork, ...moved(first, 1), { op: "fork", to: [end, end] }], second)
}

function maybe(piece: Piece): Piece {
  return [{ op: "fork", to: [1, piece.length + 1] }, ...moved(piece, 1)]
}

function star(piece: Piece): Piece {
  const end = piece.length + 2
  return [{ op: "fork", to: [1, end] }, ...moved(piece, 1), { op: "fork", to: [0, end] }]
}

function run(program: Piece, text: string): boolean {
  let now = new Set<number>()
  for (let at = 0; at <= text.length; at++) {
    // A match may begin anywhere.
    if (reach(program, 0, now, { start: at === 0, end: at === text.length })) return true
    const next = new Set<number>()
    const code = text.charCodeAt(at)
    const where = { start: false, end: at + 1 === text.length }
    for (const state of now) {
      const step = program[state]
      if (step?.op === "one" && at < text.length && step.of(code) && reach(program, state + 1, next, where))
        return true
    }
    now = next
  }
  return false
}

/** Adds all states that `from` leads to without taking a character. True where one of them is the match. */
function reach(
  program: Piece,
  from: number,
  into: Set<number>,
  where: { readonly start: boolean; readonly end: boolean },
): boolean {
  const left = [from]
  for (let state = left.pop(); state !== undefined; state = left.pop()) {
    if (into.has(state)) continue
    into.add(state)
    const step = program[state]
    if (step?.op === "match") return true
    if (step?.op === "fork") left.push(...step.to)
    else if ((step?.op === "start" && where.start) || (step?.op === "end" && where.end)) left.push(state + 1)
  }
  return false
}
