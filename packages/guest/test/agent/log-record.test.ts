/** The records of the guest's log. */
import * as fc from "fast-check"
import { describe, expect, test } from "vitest"
import { LOG_LINE_MAX, parseLogRecord } from "../../src/agent/index.ts"

describe("parseLogRecord()", () => {
  test("reads what a guest pushed", () => {
    expect(parseLogRecord("28,273,6528017,-;Nov 21 10:24:25 root: hello w\\xc3\\xb6rld")).toEqual({
      facility: 3,
      severity: 4,
      sequence: 273,
      uptimeMs: 6528.017,
      text: "Nov 21 10:24:25 root: hello wörld",
    })
    expect(parseLogRecord("6,256,1553747,-,caller=T1;NET: Registered PF_VSOCK")).toMatchObject({
      facility: 0,
      severity: 6,
      text: "NET: Registered PF_VSOCK",
    })
  })

  test("lets no control character through", () => {
    expect(parseLogRecord("6,1,2,-;a\\x1b[31m\\x0ab\u0007\\x5cx")?.text).toBe("a\ufffd[31m\ufffdb\ufffd\\x")
  })

  test.each([
    " SUBSYSTEM=acpi",
    "",
    "6,1,2",
    "6,1;x",
    "-1,1,2,-;x",
    "6,1,2,-",
    "6,1,99999999999999999,-;x",
    "6".repeat(LOG_LINE_MAX + 1),
  ])("takes %j for no record", (line) => {
    expect(parseLogRecord(line)).toBeUndefined()
  })

  test("never throws", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.boolean(), (text, record) => {
        const read = parseLogRecord(record ? `6,1,2,-;${text}` : text)
        if (record) expect(read?.sequence).toBe(1)
      }),
    )
  })
})
