/** What holds for every format, whatever is in the file. */
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { FORMATS, formatNamed, formatOf, type LeaseFormat } from "../../src/index.ts"
import type { Document, Lease } from "../../src/model.ts"
import { type Piece, SAMPLES, type Said, type Sample } from "./samples.ts"

function formatFor(name: string): LeaseFormat {
  const format = formatNamed(name)
  if (format === undefined) throw new Error(`no format ${name}`)
  return format
}

function saidBy({ source: _source, ...lease }: Lease): Said {
  return lease
}

function rangesOf({ leases }: Document): string {
  return leases.map(({ source: { start, end } }) => `${start}-${end}`).join(" ")
}

/** What must be so of any document: ranges in order, within the file and apart, with the lines that they are in. */
function checkPlaces(document: Document): void {
  const bytes = Buffer.from(document.bytes)
  let last = 0
  for (const { source } of document.leases) {
    expect(source.start).toBeGreaterThanOrEqual(last)
    expect(source.end).toBeGreaterThan(source.start)
    expect(source.end).toBeLessThanOrEqual(bytes.length)
    expect(source.lastLine).toBeGreaterThanOrEqual(source.line)
    expect(source.path).toBe(document.path)
    last = source.end
  }
  const [lease] = document.leases
  if (lease !== undefined) {
    const before = bytes.subarray(0, lease.source.start).toString("latin1").split("\n").length
    expect(lease.source.line).toBe(before)
  }
  for (const { line, sentence } of document.problems) {
    expect(line).toBeGreaterThanOrEqual(1)
    // Nothing that a terminal would take as a command.
    expect(sentence).toMatch(/^[\x20-\x7e\u00a0-\uffff]+$/u)
    expect(sentence).not.toMatch(/[\u202a-\u202e\u2066-\u2069]/)
  }
  if (!document.complete) expect(document.problems.length).toBeGreaterThan(0)
}

function checkWith(sample: Sample, check: (pieces: readonly Piece[], file: Buffer) => void): void {
  fc.assert(fc.property(sample.pieces, (pieces) => check(pieces, sample.file(pieces))))
}

describe.each(SAMPLES.map((sample) => [sample.format, sample] as const))("%s", (name, sample) => {
  const format = formatFor(name)

  test("is told from all others where it has an entry", () => {
    checkWith(sample, (pieces, file) => {
      fc.pre(pieces.some(({ said }) => said !== undefined))
      expect(formatOf(file, "")?.name).toBe(name)
    })
  })

  test("parse() finds what was written, at its place", () => {
    checkWith(sample, (pieces, file) => {
      const document = format.parse(file, "/a/file")
      expect(document.problems).toEqual([])
      expect(document.complete).toBe(true)
      const written = pieces.filter(({ said }) => said !== undefined)
      expect(document.leases.map(saidBy)).toEqual(written.map(({ said }) => said))
      expect(document.leases.map(({ source }) => file.subarray(source.start, source.end))).toEqual(
        written.map(({ bytes }) => bytes),
      )
      checkPlaces(document)
    })
  })

  test("nothing removed is the same bytes", () => {
    checkWith(sample, (_, file) => {
      expect(Buffer.from(format.remove(format.parse(file, ""), []))).toEqual(file)
    })
  })

  test("remove() takes exactly what was chosen", () => {
    fc.assert(
      fc.property(sample.pieces, fc.infiniteStream(fc.boolean()), (pieces, choice) => {
        const document = format.parse(sample.file(pieces), "")
        const chosen = document.leases.filter(() => choice.next().value === true)
        const gone = new Set(chosen.map(({ source }) => source.start))
        const left = document.leases.filter((lease) => !chosen.includes(lease))
        const after = format.remove(document, chosen)
        const again = format.parse(after, "")
        expect(again.problems).toEqual([])
        expect(again.leases.map(saidBy)).toEqual(left.map(saidBy))
        let index = 0
        const kept = pieces.filter(
          ({ said }) => said === undefined || !gone.has(document.leases[index++]?.source.start ?? -1),
        )
        if (sample.isJson === true) {
          expect(JSON.parse(Buffer.from(after).toString("utf8"))).toEqual(
            JSON.parse(sample.file(kept).toString("utf8")),
          )
        } else expect(Buffer.from(after)).toEqual(sample.file(kept))
      }),
    )
  })

  test("a file that is cut off anywhere gives only leases that are whole", () => {
    fc.assert(
      fc.property(sample.pieces, fc.double({ min: 0, max: 1, noNaN: true }), (pieces, part) => {
        const file = sample.file(pieces)
        const document = format.parse(file, "")
        const cut = format.parse(file.subarray(0, Math.floor(file.length * part)), "")
        checkPlaces(cut)
        const all = document.leases.map(saidBy)
        expect(cut.leases.map(saidBy)).toEqual(all.slice(0, cut.leases.length))
      }),
    )
  })

  test("a changed byte does no harm: what can be removed leaves a file that can be read", () => {
    fc.assert(
      fc.property(sample.pieces, fc.nat(), fc.nat({ max: 255 }), (pieces, place, byte) => {
        const file = Buffer.from(sample.file(pieces))
        fc.pre(file.length > 0)
        file[place % file.length] = byte
        const document = format.parse(file, "")
        checkPlaces(document)
        if (document.problems.length > 0) {
          if (document.leases.length > 0)
            expect(() => format.remove(document, document.leases)).toThrow("line")
          return
        }
        const after = format.parse(format.remove(document, document.leases), "")
        expect(after.problems).toEqual([])
        expect(after.leases).toEqual([])
      }),
      { numRuns: 300 },
    )
  })
})

describe.each(FORMATS.map((format) => [format.name, format] as const))("%s, any bytes", (_, format) => {
  const hostile = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc
      .array(
        fc.constantFrom(
          "{",
          "}",
          "[",
          "]",
          "\n",
          "\r\n",
          '"',
          ";",
          "lease ",
          "1.2.3.4 ",
          "%%\n",
          "\0",
          "\\",
          ",",
          "=",
          "<",
          "bplist00",
        ),
        { maxLength: 40 },
      )
      .map((parts) => Uint8Array.from(Buffer.from(parts.join(""), "latin1"))),
  )

  test("never throws, and nothing lies outside of the file", () => {
    fc.assert(
      fc.property(hostile, (bytes) => {
        format.detect(bytes, "")
        const document = format.parse(bytes, "/p")
        checkPlaces(document)
        expect(Buffer.from(format.remove(document, []))).toEqual(Buffer.from(bytes))
      }),
      { numRuns: 500 },
    )
  })

  test("an empty file is of this format at each place where such files are", () => {
    const names = format.places.map(
      (place) => formatOf(new Uint8Array(), place.replaceAll("*", "virbr0"))?.name,
    )
    expect(names).toEqual(format.places.map(() => format.name))
  })

  test("an empty file has nothing and is fine, or says what is missing", () => {
    const document = format.parse(new Uint8Array(), "/p")
    expect(rangesOf(document)).toBe("")
    expect(document.complete).toBe(document.problems.length === 0)
  })

  test("a lease of another file is not removed from this one", () => {
    const document = format.parse(new Uint8Array(), "/p")
    const [other] = formatFor("dnsmasq").parse(Buffer.from("1 52:54:0:1:2:3 10.0.0.1 * *\n"), "/q").leases
    expect(other).toBeDefined()
    if (other !== undefined) expect(() => format.remove(document, [other])).toThrow(/line|another document/)
  })
})
