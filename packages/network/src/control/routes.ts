/**
 * The verbs over the control socket, beside `/health`, `/status`, `/metrics`, `/events` and `/stop`.
 *
 * ```
 *  GET /links            POST /links LINK              DELETE /links/MACHINE
 *  GET /forwards         POST /forwards RULE           DELETE /forwards RULE            rules, as of every network
 *  GET /forwards/detail?machine=&owner=                                               with owner, age, connections
 *  GET /policy           PUT /policy POLICY            PUT, DELETE /policy/MACHINE
 *  GET /leases           DELETE /leases/MACHINE                                       gives back what the machine had
 *  GET /reservations     PUT /reservations/MACHINE ADDRESS     DELETE /reservations/MACHINE
 *  GET /flows?machine=&limit=&after=                           GET /refusals
 *  GET /faults           PUT /faults/MACHINE FAULTS    DELETE /faults/MACHINE
 *  GET /capture          POST /capture CAPTURE         DELETE /capture[?machine=]
 *  GET /dns              POST /dns ZONE                DELETE /dns/NAME
 * ```
 *
 * @module
 */
import type { ControlRequest, Routes } from "@skep/runtime"
import { parseForwardRule } from "@skep/runtime"
import { parsed } from "../bad-options.ts"
import { parseZone } from "../dns/names/zone.ts"
import { parseLinkSpec } from "../links/link-schema.ts"
import { CaptureSchema } from "../options.ts"
import { parsePolicy } from "../policy/policy-schema.ts"
import { parseFaults, parseFlowQuery, parseKept } from "../status.ts"
import type { SkepNetwork } from "../verbs.ts"

export function skepNetworkRoutes(network: SkepNetwork): Routes {
  return {
    ...linkRoutes(network),
    ...forwardRoutes(network),
    ...policyRoutes(network),
    ...leaseRoutes(network),
    ...toolRoutes(network),
  }
}

function linkRoutes(network: SkepNetwork): Routes {
  return {
    "GET /links": () => network.links(),
    "POST /links": ({ body }) => network.addLink(parseLinkSpec(body)),
    "DELETE /links/:machine": (request) => network.removeLink(machineOf(request)),
  }
}

/** Forwards asked for here belong to the network: who asked may be gone, and another one removes them. */
function forwardRoutes(network: SkepNetwork): Routes {
  return {
    "GET /forwards": async () => (await network.forwards()).map(({ rule }) => rule),
    "GET /forwards/detail": ({ query }) => network.forwards(fieldsOf(query, ["machine", "owner"])),
    "POST /forwards": async ({ body }) => (await network.forward(parseForwardRule(body))).rule,
    "DELETE /forwards": ({ body }) => network.unforward(parseForwardRule(body)),
  }
}

function policyRoutes(network: SkepNetwork): Routes {
  return {
    "GET /policy": async () => {
      const { policy, machines } = await network.status()
      const own = machines.flatMap((machine) =>
        machine.policy === undefined ? [] : [[machine.name, machine.policy] as const],
      )
      return { ...policy, machines: Object.fromEntries(own) }
    },
    "PUT /policy": ({ body }) => network.setPolicy(parsePolicy(body)),
    "PUT /policy/:machine": (request) => network.setPolicy(parsePolicy(request.body), machineOf(request)),
    "DELETE /policy/:machine": (request) => network.setPolicy(undefined, machineOf(request)),
    "GET /refusals": () => network.refusals(),
  }
}

function leaseRoutes(network: SkepNetwork): Routes {
  return {
    "GET /leases": () => network.leases(),
    "DELETE /leases/:machine": (request) => network.giveBack(machineOf(request)),
    "GET /reservations": () => network.reservations(),
    "PUT /reservations/:machine": (request) => {
      const { body } = request
      const fields = typeof body === "object" && body !== null ? body : {}
      return network.reserve(parseKept({ ...fields, machine: machineOf(request) }))
    },
    "DELETE /reservations/:machine": async (request) => {
      const machine = machineOf(request)
      return { machine, address: await network.unreserve(machine) }
    },
  }
}

function toolRoutes(network: SkepNetwork): Routes {
  return {
    "GET /flows": ({ query }) =>
      network.flows(parseFlowQuery(fieldsOf(query, ["machine", "limit", "after"]))),
    "GET /faults": async () => {
      const links = await network.links()
      const faulty = links.flatMap(({ name, faults }) =>
        faults === undefined ? [] : [[name, faults] as const],
      )
      return Object.fromEntries(faulty)
    },
    "PUT /faults/:machine": (request) => network.setFaults(machineOf(request), parseFaults(request.body)),
    "DELETE /faults/:machine": (request) => network.setFaults(machineOf(request), undefined),
    "GET /capture": async () => {
      const { capture, machines } = await network.status()
      return [capture, ...machines.map((machine) => machine.capture)].filter((each) => each !== undefined)
    },
    "POST /capture": ({ body }) => network.startCapture(parsed(CaptureSchema, body, "capture")),
    "DELETE /capture": ({ query }) => network.stopCapture(query.get("machine") ?? undefined),
    "GET /dns": () => network.zones(),
    "POST /dns": ({ body }) => network.addZone(parseZone(body)),
    "DELETE /dns/:zone": ({ params }) => network.removeZone(params["zone"] ?? ""),
  }
}

function machineOf({ params }: ControlRequest): string {
  return params["machine"] ?? ""
}

/** The fields of a query that are there; others are passed over. */
function fieldsOf(query: URLSearchParams, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = query.get(name)
      return value === null ? [] : [[name, value]]
    }),
  )
}
