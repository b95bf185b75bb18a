/**
 * The name service that asks the host: the network's own names, zones, and outside ones where the policy lets them leave.
 *
 * @module
 */
import { isIP } from "node:net"
import { Cleanup } from "@skep/runtime"
import { badOptions } from "../bad-options.ts"
import { Dns } from "../dns/dns.ts"
import type { NameServer } from "../dns/host/resolv-conf.ts"
import type { PolicyMode } from "../policy/policy-spec.ts"
import type { NameService, StartNameService } from "./name-service.ts"

const PORT = 53

export const serveNames: StartNameService = async ({ plan, dns, socket, names, ...options }) => {
  await using cleanup = new Cleanup()
  const policies = new Policies(options.policy)
  const service = cleanup.use(
    new Dns({
      outside: policies.someOpen,
      mayResolve: (_name, machine) => policies.isOpen(machine),
      own: () => ({
        gateway: [plan.gateway, plan.gateway6],
        host: [plan.host, plan.host6],
        machines: names(),
        prefixes: [plan.subnet, plan.subnet6],
        domain: plan.domain,
      }),
      ...(dns.servers.length === 0 ? {} : { servers: dns.servers.map(serverOf) }),
    }),
  )
  const { resolver } = service
  for (const zone of dns.zones) resolver.zones.add(zone)
  const now = (): number => performance.now()
  cleanup.use(await service.listen({ path: socket, clock: now }))
  const owned = cleanup.move()
  const started: NameService = {
    answer: (query, from) => service.answer(query, { ...from, now: now() }),
    setPolicy: (mode, machine) => {
      policies.set(mode, machine)
      service.setOutside(policies.someOpen)
    },
    zones: () => resolver.zones.all(),
    addZone: (zone) => resolver.zones.add(zone),
    removeZone: (name) => resolver.zones.remove(name),
    counters: () => resolver.counters,
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  }
  return started
}

/** Who may have names from outside. */
class Policies {
  readonly #own = new Map<string, PolicyMode>()
  #shared: PolicyMode

  constructor(shared: PolicyMode) {
    this.#shared = shared
  }

  set(mode: PolicyMode | undefined, machine: string | undefined): void {
    if (machine === undefined) this.#shared = mode ?? this.#shared
    else if (mode === undefined) this.#own.delete(machine)
    else this.#own.set(machine, mode)
  }

  get someOpen(): boolean {
    return [this.#shared, ...this.#own.values()].includes("open")
  }

  isOpen(machine: string): boolean {
    return (this.#own.get(machine) ?? this.#shared) === "open"
  }
}

/** `192.0.2.53`, `192.0.2.53:5353`, `2001:db8::53`, `[2001:db8::53]:5353`. Throws "bad-options". */
function serverOf(text: string): NameServer {
  if (isIP(text) !== 0) return { address: text, port: PORT }
  const parts = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text)
  const address = parts?.[1] ?? parts?.[2] ?? ""
  const port = Number(parts?.[3])
  if (isIP(address) === 0 || port < 1 || port > 65_535) {
    throw badOptions(`the DNS server "${text}": it is not an address, or [ADDRESS]:PORT`)
  }
  return { address, port }
}
