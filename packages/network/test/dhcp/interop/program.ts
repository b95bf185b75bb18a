/**
 * The server on a socket of Node, for tests: `program.ts OPTIONS` with the options of the server as JSON. Says what it hears and answers as a JSON
 * line each, and tells of its leases and counters, then ends, when its stdin does.
 *
 * A client without an address answers no ARP. The gateway sends such a frame itself; here the kernel is told where the address is.
 *
 * @module
 */
import { execFileSync } from "node:child_process"
import { createSocket } from "node:dgram"
import { parse, pretty } from "@skep/wire/dhcp"
import { DhcpServer, memoryStore, type Reply } from "../../../src/dhcp/index.ts"

const [device = "", options = "{}"] = process.argv.slice(2)
const server = new DhcpServer({ store: memoryStore(), ...JSON.parse(options) })
const socket = createSocket({ type: "udp4", reuseAddr: true })

socket.on("message", (bytes, from) => {
  tell("in", bytes, from.address)
  const reply = server.receive(bytes, { now: Date.now(), machine: "guest" })
  if (reply === undefined) return
  const to = reply.address.join(".")
  tell("out", reply.bytes, to)
  if (reply.kind === "unicast") lead(to, reply)
  socket.send(reply.bytes, reply.port, to)
})
socket.bind(67, () => {
  socket.setBroadcast(true)
  say({ ready: true })
})
process.stdin.on("end", () => {
  socket.close()
  say({ leases: server.leases(), counters: server.counters })
})
process.stdin.resume()

function lead(address: string, { mac }: Reply): void {
  const text = (mac ?? 0)
    .toString(16)
    .padStart(12, "0")
    .replaceAll(/..(?!$)/g, "$&:")
  execFileSync("ip", ["neigh", "replace", address, "lladdr", text, "dev", device, "nud", "reachable"])
}

function tell(way: "in" | "out", bytes: Uint8Array, peer: string): void {
  const message = parse(bytes, 0, bytes.length)
  say(
    typeof message === "string"
      ? { way, peer, malformed: message }
      : { way, peer, type: message.type, address: message.yourAddress, line: pretty(message) },
  )
}

function say(what: unknown): void {
  process.stdout.write(`${JSON.stringify(what)}\n`)
}
