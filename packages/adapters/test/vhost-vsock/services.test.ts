import fc from "fast-check"
import { expect, it } from "vitest"
import { parseVhostVsockOptions } from "../../src/vhost-vsock/options.ts"
import { servicePorts } from "../../src/vhost-vsock/services.ts"

const options = (more: object = {}) =>
  parseVhostVsockOptions({
    guestCid: 3,
    directory: "/run/v",
    udsPath: "/run/fc.sock",
    ports: [
      { port: 9, path: "/run/out.sock" },
      { port: 1, path: "/run/in.sock", mode: "connect" },
    ],
    ...more,
  })
const there: Readonly<Record<string, readonly string[]>> = {
  "/run/v": ["connect", "00000002.00001b58", "00000003.00000948", "00000002.1B58", "00000002.ffffffff"],
  "/run": ["fc.sock", "fc.sock_7001", "fc.sock_x", "other.sock_7002", "fc.sock_99999999999", "v"],
}
const list = (directory: string): readonly string[] => there[directory] ?? []

it("servicePorts() finds those whose sockets are there, beside those of port maps", () => {
  expect(servicePorts(options(), list)).toEqual([9, 7000, 7001])
})
it("servicePorts() looks for none where they are told, in their order and once", () => {
  expect(servicePorts(options({ services: [5, 9, 4, 5] }), list)).toEqual([4, 5, 9])
  expect(servicePorts(options({ services: [] }), list)).toEqual([9])
})
it("servicePorts() takes any name without throwing, and gives ports only", () => {
  fc.assert(
    fc.property(fc.array(fc.string()), (names) => {
      for (const port of servicePorts(options(), () => names.map((name) => `00000002.${name}`)))
        expect(port >= 0 && port <= 0xffff_fffe).toBe(true)
    }),
  )
})
