/**
 * `skep leases reserve` and `unreserve`: addresses that are for machines of one name alone.
 *
 * @module
 */
import { isIPv4 } from "node:net"
import { SidecarError } from "@skep/contract"
import type { LeasesView } from "../../backend/leases/machine-leases.ts"
import { connectBackend } from "../../client/backend.ts"
import { checkName } from "../../home/paths.ts"
import { plain } from "../printable.ts"
import type { Session } from "../session.ts"

export async function leasesReserve(
  session: Session,
  name: string | undefined,
  address: string | undefined,
): Promise<void> {
  if (name === undefined) {
    await list(session)
    return
  }
  checkName(name)
  if (address === undefined || !isIPv4(address)) {
    const said = address === undefined ? "no address is said" : `"${address}" is no IPv4 address`
    throw new SidecarError("bad-options", `Cannot reserve an address for "${name}": ${said}`, {
      next: `Say one of the network, as in skep leases reserve ${name} 192.168.64.20`,
    })
  }
  const { output, home, signal } = session
  const backend = await connectBackend(home, signal)
  await backend.request("PUT", route(name), { address })
  if (output.json) output.value({ machine: name, address })
  else output.note(`${address} is reserved for ${name}`)
}

export async function leasesUnreserve(session: Session, name: string): Promise<void> {
  const { output, home, signal } = session
  const verb = route(checkName(name))
  const backend = await connectBackend(home, signal)
  const address = String(await backend.request("DELETE", verb))
  if (output.json) output.value({ machine: name, address })
  else output.note(`${address} is not reserved for ${name} any more`)
}

async function list({ output, home, signal }: Session): Promise<void> {
  const backend = await connectBackend(home, signal)
  // The backend is of our own build, so its answers have our own types.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const { leases, reservations } = (await backend.request("GET", "/leases")) as LeasesView
  if (output.json) {
    output.value(reservations)
    return
  }
  if (reservations.length === 0) {
    output.note("No address is reserved. Reserve one with: skep leases reserve NAME ADDRESS")
    return
  }
  output.table(
    ["NAME", "ADDRESS", "HAS"],
    reservations.map(({ machine, address }) => [
      plain(machine),
      address,
      leases.find((lease) => lease.machine === machine)?.address ?? "-",
    ]),
  )
}

function route(name: string): string {
  return `/leases/reservations/${encodeURIComponent(name)}`
}
