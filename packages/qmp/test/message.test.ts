import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { emit, parse } from "../src/message.ts"

describe("parse()", () => {
  it.each([
    [
      '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian"}, "capabilities": ["oob"]}}',
      { kind: "greeting", version: "7.2.22" },
    ],
    ['{"return": {}, "id": 3}\r', { kind: "return", id: 3, value: {} }],
    ['{"return": "text"}', { kind: "return", id: undefined, value: "text" }],
    [
      '{"id": 4, "error": {"class": "CommandNotFound", "desc": "no"}}',
      { kind: "error", id: 4, class: "CommandNotFound", desc: "no" },
    ],
    [
      '{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "SHUTDOWN", "data": {"guest": true}}',
      { kind: "event", event: { name: "SHUTDOWN", data: { guest: true } } },
    ],
    ['{"event": "STOP"}', { kind: "event", event: { name: "STOP", data: {} } }],
  ])("reads %s", (line, message) => {
    expect(parse(line)).toEqual(message)
  })

  it.each([
    ["SSH-2.0-OpenSSH", "not-json"],
    ["", "not-json"],
    ["[1]", "not-an-object"],
    ["7", "not-an-object"],
    ['{"hello": 1}', "unknown-message"],
    ['{"event": 7}', "unknown-message"],
  ])("says what is wrong with %s", (line, reason) => {
    expect(parse(line)).toBe(reason)
  })

  it("never throws, whatever the JSON", () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (line) => void parse(line)))
  })
})

describe("emit()", () => {
  it("writes one line that JSON reads back", () => {
    fc.assert(
      fc.property(fc.nat(), fc.string(), fc.dictionary(fc.string(), fc.jsonValue()), (id, command, args) => {
        const line = emit(id, command, args)
        expect(line.indexOf("\n")).toBe(line.length - 1)
        expect(JSON.parse(line)).toEqual(
          JSON.parse(JSON.stringify({ execute: command, arguments: args, id })),
        )
      }),
    )
  })
})
