import { describe, expect, it } from "vitest"
import { portCount, portNotes, portRows } from "../../src/cli/port-rows.ts"

const FORWARD = {
  transport: "tcp",
  hostAddress: "127.0.0.1",
  hostPort: 8080,
  guestPort: 8080,
  container: "web",
} as const
const WARNING = {
  container: "db",
  port: "5432/tcp",
  reason: 'Cannot listen on "127.0.0.1:5432": the address is in use',
  next: "Publish another port",
}

describe("a port that is in place", () => {
  const ports = { forwards: [FORWARD], warnings: [] }
  it("is a row and a number", () => {
    expect(portRows(ports)).toEqual([["port", "127.0.0.1:8080/tcp -> web"]])
    expect(portCount(ports)).toBe("1")
    expect(portNotes(ports)).toEqual([])
  })
})

describe("a port that the host has taken", () => {
  const ports = { forwards: [FORWARD], warnings: [WARNING] }
  it("is told with its container and what to do, and counted", () => {
    expect(portRows(ports).slice(1)).toEqual([
      ["warning", `db: ${WARNING.reason}`],
      ["next", "Publish another port"],
    ])
    expect(portCount(ports)).toBe("1, 1 warning")
    expect(portCount({ ...ports, warnings: [WARNING, WARNING] })).toBe("1, 2 warnings")
    expect(portNotes(ports)).toEqual([`warning: db: ${WARNING.reason}. Publish another port`])
  })
})

describe("a machine without a network", () => {
  it("has none to tell of", () => {
    expect([portRows(undefined), portCount(undefined), portNotes(undefined)]).toEqual([[], "-", []])
  })
})
