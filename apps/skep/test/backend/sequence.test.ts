import { SidecarError } from "@skep/contract"
import { silentLog, withResolvers } from "@skep/runtime"
import { describe, expect, test } from "vitest"
import { type ChangeKind, Sequence } from "../../src/backend/sequence.ts"

describe("Sequence", () => {
  test("an interrupting change aborts what is under way and waits for its end", async () => {
    const { changes, held, order } = fixture()
    const start = held("start")
    const stop = changes.begin({
      kind: "stop",
      before: "interrupted",
      work: async () => void order.push("stop"),
    })
    expect(start.operation.aborted).toBe(true)
    expect(changes.kind).toBe("stop")
    start.end()
    await stop.done
    expect(order).toEqual(["start over", "stop"])
  })

  test("a waiting change lets what is under way end, and shows its progress", async () => {
    const { changes, held, order } = fixture()
    const adoption = held("adoption")
    const start = changes.begin({
      kind: "start",
      before: "awaited",
      work: async () => void order.push("start"),
    })
    const seen: unknown[] = []
    const watching = (async () => {
      for await (const progress of start.watch(new AbortController().signal)) seen.push(progress)
    })()
    adoption.end()
    await watching
    expect(adoption.operation.aborted).toBe(false)
    expect(seen).toEqual([{ type: "note", text: "adoption" }])
    expect(order).toEqual(["adoption over", "start"])
  })

  test("a failure of what went before is not the next one's", async () => {
    const { changes } = fixture()
    const failing = changes.begin({
      kind: "adoption",
      before: "awaited",
      work: () => Promise.reject(new SidecarError("timeout", "late")),
    })
    const start = changes.begin({ kind: "start", before: "awaited", work: () => Promise.resolve() })
    await expect(failing.done).rejects.toThrow("late")
    await start.done
  })

  test("a stop also interrupts the change that an aborted start had waited for", async () => {
    const { changes, held, order } = fixture()
    const adoption = held("adoption")
    const start = changes.begin({ kind: "start", before: "awaited", work: () => Promise.resolve() })
    start.abort(new SidecarError("aborted", "Ctrl-C"))
    await expect(start.done).rejects.toThrow("Ctrl-C")
    expect(changes.kind).toBe("adoption")
    const stop = changes.begin({
      kind: "stop",
      before: "interrupted",
      work: async () => void order.push("stop"),
    })
    expect(adoption.operation.aborted).toBe(true)
    adoption.end()
    await stop.done
    expect(order).toEqual(["adoption over", "stop"])
    expect(changes.kind).toBeUndefined()
  })
})

function fixture() {
  const changes = new Sequence("m", silentLog)
  const order: string[] = []
  /** A change that runs until it is told to end, whatever its signal says. */
  const held = (kind: ChangeKind) => {
    const ending = withResolvers<void>()
    const operation = changes.begin({
      kind,
      before: "awaited",
      work: async (report) => {
        report({ type: "note", text: kind })
        await ending.promise
        order.push(`${kind} over`)
      },
    })
    return { operation, end: ending.resolve }
  }
  return { changes, held, order }
}
