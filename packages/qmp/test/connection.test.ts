import { once } from "node:events"
import { createServer, type Socket } from "node:net"
import { createInterface } from "node:readline"
import { type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { connectQmp, monitor, type QmpEvent } from "../src/index.ts"

const GREETING = `{"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 22}}, "capabilities": []}}\r\n`
const neverAborts = new AbortController().signal

interface Command {
  readonly execute: string
  readonly id: number
  readonly arguments?: unknown
}

/** A monitor in the test: `answer` decides what each command gets, line by line. */
interface FakeMonitor extends AsyncDisposable {
  readonly path: string
  readonly client: Promise<Socket>
}

let directory: TemporaryDirectory
beforeEach(async () => {
  directory = await temporaryDirectory()
})
afterEach(() => directory[Symbol.asyncDispose]())

async function serve(
  answer: (command: Command, client: Socket) => void,
  greeting = GREETING,
): Promise<FakeMonitor> {
  const path = directory.at("qmp.sock")
  const clients = new Set<Socket>()
  const server = createServer((client) => {
    clients.add(client)
    client.on("error", () => client.destroy())
    client.write(greeting)
    createInterface({ input: client }).on("line", (line) => {
      const command: Command = JSON.parse(line)
      if (command.execute === "qmp_capabilities") reply(client, command.id, {})
      else answer(command, client)
    })
  })
  const accepted = once(server, "connection").then(([client]) => client)
  await new Promise<void>((resolve) => {
    server.listen(path, resolve)
  })
  return {
    path,
    client: accepted,
    [Symbol.asyncDispose]: async () => {
      for (const client of clients) client.destroy()
      await new Promise((resolve) => {
        server.close(resolve)
      })
    },
  }
}

function reply(client: Socket, id: number, value: unknown): void {
  client.write(`${JSON.stringify({ return: value, id })}\r\n`)
}

describe("connectQmp()", () => {
  it("negotiates and knows QEMU's version", async () => {
    await using fake = await serve(() => undefined)
    await using qmp = await connectQmp(fake.path, { signal: neverAborts })
    expect(qmp.version).toBe("7.2.22")
  })

  it("rejects with unreachable when nobody listens", async () => {
    const connecting = connectQmp(directory.at("nobody.sock"), { signal: neverAborts })
    await expect(connecting).rejects.toMatchObject({ code: "unreachable" })
  })

  it("rejects with timeout when no greeting comes, as from a monitor that serves somebody else", async () => {
    await using fake = await serve(() => undefined, "")
    const connecting = connectQmp(fake.path, { signal: neverAborts, deadlineMs: 30 })
    await expect(connecting).rejects.toMatchObject({ code: "timeout" })
  })

  it("rejects with protocol when it meets something else", async () => {
    await using fake = await serve(() => undefined, "SSH-2.0-OpenSSH_9.2\r\n")
    const connecting = connectQmp(fake.path, { signal: neverAborts })
    await expect(connecting).rejects.toMatchObject({
      code: "protocol",
      message: expect.stringContaining("SSH-2.0"),
    })
  })

  it("rejects with the signal's own reason", async () => {
    await using fake = await serve(() => undefined, "")
    const controller = new AbortController()
    const reason = new Error("no more")
    const connecting = connectQmp(fake.path, { signal: controller.signal })
    await fake.client
    controller.abort(reason)
    await expect(connecting).rejects.toBe(reason)
    await expect(connectQmp(fake.path, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })
})

describe("execute()", () => {
  it("tells overlapping commands apart by their id", async () => {
    const held: Command[] = []
    await using fake = await serve((command, client) => {
      held.push(command)
      if (held.length === 2) for (const each of held.toReversed()) reply(client, each.id, each.execute)
    })
    await using qmp = await connectQmp(fake.path, { signal: neverAborts })
    expect(await Promise.all([qmp.execute("first"), qmp.execute("second", { a: 1 })])).toEqual([
      "first",
      "second",
    ])
    expect(held[1]?.arguments).toEqual({ a: 1 })
  })

  it("rejects with protocol, the class and the description when QEMU refuses", async () => {
    await using fake = await serve((command, client) => {
      client.write(
        `{"error": {"class": "CommandNotFound", "desc": "no ${command.execute}"}, "id": ${command.id}}\n`,
      )
    })
    await using qmp = await connectQmp(fake.path, { signal: neverAborts })
    await expect(qmp.execute("dance")).rejects.toMatchObject({
      code: "protocol",
      message: "QEMU refused the command: CommandNotFound: no dance",
    })
  })

  it("rejects with timeout after the deadline, and a late answer harms nobody", async () => {
    let late: (() => void) | undefined
    await using fake = await serve((command, client) => {
      if (command.execute === "slow") late = () => reply(client, command.id, "late")
      else {
        late?.()
        reply(client, command.id, command.execute)
      }
    })
    await using qmp = await connectQmp(fake.path, { signal: neverAborts, deadlineMs: 30 })
    await expect(qmp.execute("slow")).rejects.toMatchObject({
      code: "timeout",
      message: `Cannot run "slow" in QEMU within 0.03 s`,
    })
    expect(await qmp.execute("next")).toBe("next")
  })

  it("rejects what is under way with unreachable when the monitor goes, and closed fulfils", async () => {
    await using fake = await serve((_command, client) => client.destroy())
    await using qmp = await connectQmp(fake.path, { signal: neverAborts })
    await expect(qmp.execute("quit")).rejects.toMatchObject({ code: "unreachable" })
    await qmp.closed
    await expect(qmp.execute("again")).rejects.toMatchObject({ code: "unreachable" })
  })

  it("takes an answer of 900 KB", async () => {
    await using fake = await serve((command, client) => reply(client, command.id, "x".repeat(900_000)))
    await using qmp = await connectQmp(fake.path, { signal: neverAborts })
    expect(await qmp.execute("query-qmp-schema")).toHaveLength(900_000)
  })
})

describe("closed", () => {
  it.each([
    ["garbage", "not QMP at all\n"],
    ["an endless line", "x".repeat((1 << 20) + 1)],
  ])("rejects with protocol after %s, and so does every command", async (_name, bytes) => {
    await using fake = await serve((_command, client) => void client.write(bytes))
    await using qmp = await connectQmp(fake.path, { signal: neverAborts })
    await expect(qmp.execute("go")).rejects.toMatchObject({ code: "protocol" })
    await expect(qmp.closed).rejects.toMatchObject({ code: "protocol" })
    await expect(qmp.execute("go")).rejects.toMatchObject({ code: "protocol" })
  })

  it("fulfils after disposal, which may be repeated", async () => {
    await using fake = await serve(() => undefined)
    const qmp = await connectQmp(fake.path, { signal: neverAborts })
    await Promise.all([qmp[Symbol.asyncDispose](), qmp[Symbol.asyncDispose]()])
    await qmp.closed
  })
})

describe("onEvent", () => {
  it("gets events in order, between answers", async () => {
    const events: QmpEvent[] = []
    await using fake = await serve((command, client) => {
      client.write(`{"event": "STOP"}\n{"event": "SHUTDOWN", "data": {"guest": true}}\n`)
      reply(client, command.id, {})
    })
    await using qmp = await connectQmp(fake.path, {
      signal: neverAborts,
      onEvent: (event) => events.push(event),
    })
    await qmp.execute("stop")
    expect(events).toEqual([
      { name: "STOP", data: {} },
      { name: "SHUTDOWN", data: { guest: true } },
    ])
  })
})

describe("monitor()", () => {
  it("runs a line and returns what it printed", async () => {
    await using fake = await serve((command, client) =>
      reply(client, command.id, JSON.stringify(command.arguments)),
    )
    await using qmp = await connectQmp(fake.path, { signal: neverAborts })
    expect(await monitor(qmp, "info status")).toBe('{"command-line":"info status"}')
  })

  it("rejects with protocol when the answer is no text", async () => {
    await using fake = await serve((command, client) => reply(client, command.id, 7))
    await using qmp = await connectQmp(fake.path, { signal: neverAborts })
    await expect(monitor(qmp, "info status")).rejects.toMatchObject({ code: "protocol" })
  })
})
