import { once } from "node:events"
import { createServer, type Server, type Socket } from "node:net"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { ConsoleHub } from "../../src/console/hub.ts"
import { LogFile } from "../../src/console/log-file.ts"
import { connectSerial } from "../../src/machine/connect.ts"
import { openTerminal, type Terminal } from "../fixture.ts"

interface Bench extends AsyncDisposable {
  readonly hub: ConsoleHub
  /** The guest's end of the serial port. */
  readonly guest: Socket
  readonly lines: string[]
  open(): Promise<Terminal>
}

async function openBench(): Promise<Bench> {
  const directory = await temporaryDirectory()
  const log = new LogFile(directory.at("console.log"), 1 << 20)
  const hub = new ConsoleHub(log)
  const lines: string[] = []
  hub.onLine = (line) => lines.push(line)
  const qemu: Server = createServer()
  await new Promise<void>((resolve) => {
    qemu.listen(directory.at("serial.sock"), resolve)
  })
  const accepted = once(qemu, "connection")
  const serial = await connectSerial(directory.at("serial.sock"))
  hub.attach(serial)
  const [guest]: Socket[] = await accepted
  if (guest === undefined) throw new Error("nobody connected")
  const server = await hub.listen(directory.at("console.sock"))
  return {
    hub,
    guest,
    lines,
    open: () => openTerminal(directory.at("console.sock")),
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]()
      serial.destroy()
      guest.destroy()
      qemu.close()
      log[Symbol.dispose]()
      await directory[Symbol.asyncDispose]()
    },
  }
}

describe("ConsoleHub", () => {
  it("shows the guest to every client, and a late one the last of it first", async () => {
    await using bench = await openBench()
    await using first = await bench.open()
    bench.guest.write("Linux version\r\nlogin: ")
    await first.until("login: ")
    await using late = await bench.open()
    expect(await late.until("login: ")).toBe("Linux version\r\nlogin: ")
    bench.guest.write("root\r\n")
    await Promise.all([first.until("root"), late.until("root")])
    expect(bench.lines).toEqual(["Linux version", "login: root"])
    expect(bench.hub.tail(1)).toEqual(["login: root"])
    expect(bench.hub.counters).toMatchObject({ consoleBytes: 28, consoleClients: 2 })
  })

  it("takes what every client types to the guest", async () => {
    await using bench = await openBench()
    await using first = await bench.open()
    await using second = await bench.open()
    bench.guest.setEncoding("utf8")
    first.type("a")
    expect(await once(bench.guest, "data")).toEqual(["a\n"])
    second.type("b")
    expect(await once(bench.guest, "data")).toEqual(["b\n"])
  })

  it("drops a client that does not read, and no other", async () => {
    await using bench = await openBench()
    await using reader = await bench.open()
    await using sleeper = await bench.open()
    sleeper.socket.pause()
    const chunk = "x".repeat(64 << 10)
    for (let index = 0; index < 64; index++) bench.guest.write(chunk)
    bench.guest.write("the end\n")
    await reader.until("the end")
    expect(bench.hub.counters["consoleClientsDropped"]).toBe(1)
    sleeper.socket.resume()
    await sleeper.closed
  })

  it("drops what is typed while no machine is attached", async () => {
    await using bench = await openBench()
    await using client = await bench.open()
    const gone = once(bench.guest, "close")
    bench.guest.destroy()
    await gone
    client.type("anybody?")
    await using next = await bench.open()
    expect(next.socket.readyState).toBe("open")
  })
})
