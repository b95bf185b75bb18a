/**
 * What this host says of itself: its routes, and what makes it another than the next.
 *
 * @module
 */
import { readFileSync } from "node:fs"
import { endianness, hostname, userInfo } from "node:os"
import { type Log, SidecarError } from "@skep/contract"
import type { Prefix } from "@skep/wire/address"
import { describeRoute, freeSubnet, parseRoutes4, parseRoutes6, type Route, routeInTheWay } from "./routes.ts"
import { parseSubnet } from "./subnet.ts"

/** None where the system has no such tables, and then no check. */
export function hostRoutes(): readonly Route[] {
  return [
    ...parseRoutes4(read("/proc/net/route"), endianness() === "LE"),
    ...parseRoutes6(read("/proc/net/ipv6_route")),
  ]
}

/** Stable for this host, user and network name, and not told to anybody but as a hash. */
export function hostIdentity(name: string): string {
  const machineId = read("/etc/machine-id").trim()
  return [machineId === "" ? hostname() : machineId, userInfo().uid, name].join("\0")
}

/** Throws "address-in-use" where the host leads there already. `ours` are interfaces that lead to guests. */
export function checkAgainstRoutes(
  subnet: Prefix,
  text: string,
  routes: readonly Route[],
  ours: readonly string[],
): void {
  const route = routeInTheWay(routes, subnet, ours)
  if (route === undefined) return
  throw new SidecarError(
    "address-in-use",
    `Cannot use the subnet "${text}": this host has the route ${describeRoute(route)}`,
    { next: "Choose another subnet (--subnet), or auto, which finds one" },
  )
}

export interface AutoSubnetOptions {
  readonly routes: readonly Route[]
  /** Interfaces that lead to guests. */
  readonly ours: readonly string[]
  /** The subnet that guests know from the last time. */
  readonly last: string | undefined
  readonly log: Log
}

/**
 * A subnet that the host has no route to: that of the last time where it is one, so that guests keep their addresses. Says in the log when they
 * cannot. Throws "address-in-use" where every subnet we know of is taken.
 */
export function autoSubnet({ routes, ours, last, log }: AutoSubnetOptions): Prefix {
  const before = last === undefined ? undefined : parseSubnet(last)
  const route = before?.address.length === 4 ? routeInTheWay(routes, before, ours) : undefined
  if (before?.address.length === 4 && route === undefined) return before
  const free = freeSubnet(routes, ours)
  const subnet = free === undefined ? undefined : parseSubnet(free)
  if (subnet !== undefined) {
    if (route !== undefined) log.info("subnet moved", { from: last, to: free, route: describeRoute(route) })
    return subnet
  }
  throw new SidecarError(
    "address-in-use",
    "Cannot find a subnet: the routes of this host lead to all of them",
    {
      next: "Choose a subnet that this host does not need (--subnet)",
    },
  )
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1")
  } catch {
    return "" // another system, or one without that family
  }
}
