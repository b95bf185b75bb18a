/**
 * Runs in a network and a mount namespace of its own, with host files of the test's: asks the C library and our resolver the same names, and
 * prints what each says as JSON.
 */
import { execFile } from "node:child_process"
import { createSocket } from "node:dgram"
import type { Packet } from "dns-packet"
import { decode, encode } from "dns-packet"
import { Dns } from "../../../src/dns/dns.ts"
import { dig, door, OWN, records } from "../rig.ts"

const ADDRESSES: Readonly<Record<string, string>> = {
  "www.up.test A": "10.9.8.7",
  "www.up.test AAAA": "fd09::7",
  "four.up.test A": "10.9.8.4",
  "short.corp.test A": "10.9.8.3",
  "listed.up.test A": "10.6.6.6",
  "listed.up.test AAAA": "fd06::6",
}

function respond(query: Buffer): Buffer {
  const { id, questions } = decode(query)
  const [question] = questions ?? []
  const name = question?.name.toLowerCase() ?? ""
  const data = ADDRESSES[`${name} ${question?.type}`]
  const known = Object.keys(ADDRESSES).some((key) => key.startsWith(`${name} `))
  const packet: Packet = {
    type: "response",
    id: id ?? 0,
    flags: 0x0180 | (known ? 0 : 3),
    questions: questions ?? [],
  }
  const type = question?.type === "AAAA" ? "AAAA" : "A"
  return encode(data === undefined ? packet : { ...packet, answers: [{ type, name, ttl: 60, data }] })
}

/** What a program of the host gets: every address of both families. */
function getent(name: string): Promise<readonly string[]> {
  return new Promise((resolve) => {
    // It ends with 2 where there is nothing.
    execFile("getent", ["-A", "ahosts", name], { timeout: 30_000 }, (_, printed) => {
      const addresses = printed.split("\n").map((line) => line.split(/\s+/)[0] ?? "")
      resolve([...new Set(addresses.filter((address) => address !== ""))].toSorted())
    })
  })
}

const server = createSocket("udp4")
server.on("message", (query, from) => server.send(respond(query), from.port, from.address))
await new Promise<void>((resolve) => {
  server.bind(53, "127.0.0.1", resolve)
})
{
  await using dns = new Dns({ own: () => OWN, outside: true })
  await using entrance = await door(dns.resolver)
  const results: Record<string, unknown> = {}
  for (const name of process.argv.slice(2)) {
    const ours: string[] = []
    for (const type of ["A", "AAAA"]) {
      const lines = records(await dig(entrance.server, name, type))
      ours.push(...lines.flatMap((line) => (line.includes(` IN ${type} `) ? (line.split(" ")[4] ?? []) : [])))
    }
    results[name] = { host: await getent(name), machine: ours.toSorted() }
  }
  process.stdout.write(JSON.stringify(results))
}
server.close()
