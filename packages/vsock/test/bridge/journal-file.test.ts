import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { temporaryDirectory } from "@skep/testkit"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { JournalFile } from "../../src/bridge/journal-file.ts"
import { PORT_MAX } from "../../src/device/packet.ts"

const CID = 3
const A = { guestPort: 0, hostPort: PORT_MAX }
const B = { guestPort: PORT_MAX, hostPort: 0 }

/** What a successor finds; it takes nothing over. */
function leftAt(path: string, guestCid = CID): readonly unknown[] {
  const copy = `${path}.copy`
  writeFileSync(copy, readFileSync(path))
  return new JournalFile({ path: copy, guestCid, maxStreams: 4 }).left
}

describe("a journal", () => {
  it("leaves what was opened and not closed, at each moment", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("j")
    const journal = new JournalFile({ path, guestCid: CID, maxStreams: 4 })
    expect(leftAt(path)).toEqual([])
    journal.open(A)
    journal.open(B)
    expect(leftAt(path)).toEqual([A, B])
    journal.close(A)
    expect(leftAt(path)).toEqual([A, B]) // the guest has not been given its reset yet
    journal.settle()
    expect(leftAt(path)).toEqual([B])
    journal.close(B)
    journal.open(B) // the same ports again, before the end of the batch
    journal.settle()
    expect(leftAt(path)).toEqual([B])
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  it("passes on what its predecessor left, and is gone when all was closed", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("j")
    new JournalFile({ path, guestCid: CID, maxStreams: 1 }).open(A)
    const second = new JournalFile({ path, guestCid: CID, maxStreams: 1 })
    expect(second.left).toEqual([A])
    second.open(B)
    second[Symbol.dispose]()
    const third = new JournalFile({ path, guestCid: CID, maxStreams: 1 })
    expect(third.left).toEqual([A, B])
    third.close(A)
    third.close(B)
    third[Symbol.dispose]()
    expect(readdirSync(directory.path)).toEqual([])
  })

  it("is none where it is of another guest, or damaged, and never throws for what lies there", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("j")
    new JournalFile({ path, guestCid: CID, maxStreams: 4 }).open(A)
    const whole = readFileSync(path)
    expect(leftAt(path, CID + 1)).toEqual([])
    fc.assert(
      fc.property(fc.nat(whole.length), fc.uint8Array({ maxLength: 40 }), (length, noise) => {
        writeFileSync(path, Buffer.concat([whole.subarray(0, length), noise]))
        using journal = new JournalFile({ path, guestCid: CID, maxStreams: 4 })
        expect(journal.left.length).toBeLessThanOrEqual(16)
        for (const pair of journal.left) journal.close(pair)
      }),
      { numRuns: 100 },
    )
    expect(existsSync(path)).toBe(false)
    writeFileSync(path, Buffer.alloc(1 << 23, 1)) // longer than any
    expect(new JournalFile({ path, guestCid: CID, maxStreams: 4 }).left).toEqual([])
  })

  it("goes on without what it has no place for", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("j")
    const journal = new JournalFile({ path, guestCid: CID, maxStreams: 1 })
    for (let guestPort = 0; guestPort < 5; guestPort++) journal.open({ guestPort, hostPort: 1 })
    expect(leftAt(path)).toHaveLength(2)
    journal.close({ guestPort: 4, hostPort: 1 })
    journal.close({ guestPort: 0, hostPort: 1 })
    journal.settle()
    journal.open(B)
    expect(leftAt(path)).toEqual([B, { guestPort: 1, hostPort: 1 }])
  })
})
