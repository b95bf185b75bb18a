import { existsSync } from "node:fs"
import type { SidecarEvent } from "@skep/contract"
import { freeRule, testContext } from "@skep/contract-tests"
import { call, isAlive } from "@skep/runtime"
import { processesMentioning, temporaryDirectory } from "@skep/testkit"
import { afterAll, describe, expect, it } from "vitest"
import { adoptNetwork, controlSocketOf } from "../src/client.ts"
import { bundleStandIn } from "./bundle.ts"
import { machineOn, standInProcess } from "./stand-in.ts"

const bundle = await bundleStandIn()
afterAll(() => bundle[Symbol.dispose]())
const neverAborts = new AbortController().signal

describe("adoptNetwork()", () => {
  it("finds the network that outlived whoever started it, and has all its verbs", async () => {
    await using directory = await temporaryDirectory()
    const sidecar = standInProcess(bundle, false)
    const options = sidecar.parseOptions({ directory: directory.at("net"), policy: "loopback" })
    const first = await sidecar.start(options, testContext())
    first.release()

    const events: SidecarEvent[] = []
    const control = controlSocketOf(options)
    const network = await adoptNetwork({ control, signal: neverAborts, emit: (event) => events.push(event) })
    try {
      expect(network.identity).toEqual(first.identity)
      const socket = directory.at("web.sock")
      expect(await network.addLink({ kind: "qemu", machine: "web", socket })).toEqual({ endpoint: socket })
      await using machine = await machineOn(socket)
      await expect.poll(() => events.map(({ type }) => type)).toContain("machine-connected")
      expect((await network.links()).map(({ name, connected }) => [name, connected])).toEqual([["web", true]])

      const rule = { ...(await freeRule("tcp")), machine: "web", owner: "user" }
      const forward = await network.forward(rule)
      expect(forward.rule).toEqual(rule)
      expect(await network.forwards({ owner: "user" })).toEqual([
        expect.objectContaining({ rule, accepted: 0 }),
      ])
      expect(await network.forwards({ owner: "docker" })).toEqual([])
      await forward[Symbol.asyncDispose]()
      await network.forward(rule)
      await network.unforward(rule)
      await expect(network.unforward(rule)).rejects.toMatchObject({ code: "not-found" })

      machine.write("!")
      await expect.poll(() => network.refusals()).toEqual([expect.objectContaining({ reason: "policy" })])
      await network.setPolicy({ mode: "open", closedPorts: [[22, 22]] })
      await network.setPolicy({ mode: "nothing", closedPorts: [] }, "web")
      expect(await call(control, { method: "GET", path: "/policy", signal: neverAborts })).toEqual({
        mode: "open",
        closedPorts: [[22, 22]],
        machines: { web: { mode: "nothing", closedPorts: [] } },
      })
      await network.setPolicy(undefined, "web")

      machine.write("@192.168.64.7")
      await expect
        .poll(() => network.leases())
        .toEqual([expect.objectContaining({ address: "192.168.64.7" })])
      expect(await network.flows({ limit: 1 })).toMatchObject({ total: 1, flows: [{ machine: "web" }] })
      expect((await network.flows({ after: 1 })).flows).toEqual([])
      await expect(network.flows({ limit: 100_000 })).rejects.toMatchObject({ code: "bad-options" })

      await network.setFaults("web", { partition: true })
      expect((await network.links())[0]?.faults).toEqual({ partition: true })
      await network.setFaults("web", undefined)
      const path = directory.at("web.pcapng")
      await network.startCapture({ path, machine: "web" })
      expect(existsSync(path)).toBe(true)
      expect(await network.stopCapture("web")).toMatchObject({ path, machine: "web" })

      const zone = {
        Name: "x.internal.",
        Records: [{ Name: "a", IP: "192.168.64.9", Regexp: null }],
        DefaultIP: "",
      }
      await network.addZone(zone)
      expect(await network.zones()).toEqual([zone])
      await network.removeZone("x.internal.")
      expect(await network.zones()).toEqual([])
      await expect(network.removeZone("x.internal.")).rejects.toMatchObject({ code: "not-found" })

      const status = await network.status()
      expect(status).toMatchObject({
        name: "default",
        driver: "loop",
        policy: { mode: "open" },
        forwards: [],
      })
      expect(status.machines[0]).toMatchObject({ name: "web", address: "192.168.64.7" })
      await expect(network.giveBack("web")).rejects.toMatchObject({ code: "busy" })
      await network.removeLink("web")
      expect(await network.giveBack("web")).toMatchObject([{ machine: "web", address: "192.168.64.7" }])
      expect(await network.giveBack("web")).toEqual([])
      await network.reserve({ machine: "db", address: "192.168.64.9" })
      expect(await network.reservations()).toEqual([{ machine: "db", address: "192.168.64.9" }])
      expect(await network.unreserve("db")).toBe("192.168.64.9")
      await expect(network.unreserve("db")).rejects.toMatchObject({ code: "not-found" })
      await expect(network.removeLink("web")).rejects.toMatchObject({ code: "not-found" })
    } finally {
      await network[Symbol.asyncDispose]()
    }
    await network.closed
    expect(isAlive(network.identity)).toBe(false)
    expect(processesMentioning(directory.path)).toEqual([])
  })

  it("rejects with unreachable where there is none", async () => {
    await using directory = await temporaryDirectory()
    const adopting = adoptNetwork({ control: directory.at("none"), signal: neverAborts })
    await expect(adopting).rejects.toMatchObject({ code: "unreachable" })
  })
})

describe("the control socket", () => {
  it("has a route for each verb, and metrics", async () => {
    await using directory = await temporaryDirectory()
    const sidecar = standInProcess(bundle)
    const options = sidecar.parseOptions({
      directory: directory.path,
      qemu: [`web=${directory.at("web.sock")}`],
    })
    const network = await sidecar.start(options, testContext())
    const ask = (method: "GET" | "POST" | "PUT" | "DELETE", path: string, body?: unknown) =>
      call(controlSocketOf(options), { method, path, body, signal: neverAborts })
    expect(await ask("GET", "/links")).toMatchObject([{ name: "web" }])
    expect(await ask("GET", "/forwards")).toEqual([])
    expect(await ask("GET", "/faults")).toEqual({})
    await ask("PUT", "/faults/web", { loss: 1 })
    expect(await ask("GET", "/faults")).toEqual({ web: { loss: 1 } })
    expect(await ask("GET", "/capture")).toEqual([])
    await ask("POST", "/capture", { path: directory.at("x") })
    expect(await ask("GET", "/capture")).toMatchObject([{ path: directory.at("x") }])
    expect(String(await ask("GET", "/metrics"))).toContain("skep_network_refused_policy_total 0")
    expect(String(await ask("GET", "/metrics"))).toContain('skep_network_machine_up{machine="web"} 0')
    for (const [method, path, body] of [
      ["POST", "/links", { kind: "qemu" }],
      ["POST", "/forwards", { transport: "tcp" }],
      ["PUT", "/policy", { mode: "closed" }],
      ["PUT", "/faults/web", { loss: "much" }],
      ["POST", "/capture", {}],
      ["POST", "/dns", { Name: "" }],
      ["PUT", "/reservations/web", { address: "192.168.64" }],
      ["PUT", "/reservations/web", undefined],
      ["GET", "/flows?limit=many", undefined],
    ] as const)
      await expect(ask(method, path, body)).rejects.toMatchObject({ code: "bad-options" })
    await expect(ask("DELETE", "/links/nobody")).rejects.toMatchObject({ code: "not-found" })
    await network[Symbol.asyncDispose]()
  })
})
