/**
 * A name service that knows nothing, and says so at once: REFUSED (RFC 1035 section 4.1.1) to every question. For tests.
 *
 * @module
 */
import { Zones } from "../src/dns/names/zones.ts"
import type { NameService, StartNameService } from "../src/names/name-service.ts"

const HEADER = 12
const FLAGS = 2
const RESPONSE = 0x80
const OPCODE_AND_RECURSION = 0x79
const REFUSED = 5

/** Keeps the zones that it is given, and answers by none. */
export const refuseNames: StartNameService = async ({ dns }) => {
  const zones = new Zones()
  for (const zone of dns.zones) zones.add(zone)
  let refused = 0
  const service: NameService = {
    answer: async (query) => {
      const isQuestion = query.length >= HEADER && ((query[FLAGS] ?? 0) & RESPONSE) === 0
      if (!isQuestion) return undefined
      refused++
      const answer = Uint8Array.from(query)
      answer[FLAGS] = ((query[FLAGS] ?? 0) & OPCODE_AND_RECURSION) | RESPONSE
      answer[FLAGS + 1] = REFUSED
      return answer
    },
    setPolicy: () => undefined,
    zones: () => zones.all(),
    addZone: (zone) => zones.add(zone),
    removeZone: (name) => zones.remove(name),
    counters: () => ({ refused }),
    [Symbol.asyncDispose]: async () => undefined,
  }
  return service
}
