import { once } from "node:events"
import { createServer, type Socket } from "node:net"
import { Duplex, PassThrough } from "node:stream"
import { type Log, SidecarError } from "@skep/contract"
import { silentLog } from "@skep/runtime"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import type { Engine } from "../../src/docker/engine.ts"
import { connectOverVsock } from "../../src/docker/vsock-engine.ts"
import { type SshWay, Ways } from "../../src/docker/ways.ts"

const never = new AbortController().signal
const refused = new SidecarError("permission-denied", "another host key")
const away = new SidecarError("unreachable", "no bridge")

/** An SSH way that counts itself. */
function sshWays(ready?: () => Promise<Engine>): {
  readonly open: () => SshWay
  readonly counts: { opened: number; ended: number }
} {
  const counts = { opened: 0, ended: 0 }
  const engine: Engine = {
    connect: async () => new PassThrough(),
    closed: new Promise(() => undefined),
    [Symbol.asyncDispose]: async () => undefined,
  }
  return {
    counts,
    open: () => {
      counts.opened++
      return {
        ready: ready ?? (async () => engine),
        lastError: ready === undefined ? undefined : refused,
        [Symbol.asyncDispose]: async () => {
          counts.ended++
        },
      }
    },
  }
}

describe("Ways", () => {
  it("goes over vsock, and opens no SSH connection", async () => {
    const ssh = sshWays()
    await using ways = new Ways({ vsock: async () => new PassThrough(), ssh: ssh.open, log: silentLog })
    await ways.connect(never)
    expect(ways.way).toBe("vsock")
    expect(ssh.counts).toEqual({ opened: 0, ended: 0 })
  })

  it("goes over SSH while the vsock is away, and lets go of it when that is back and nothing uses it", async () => {
    const ssh = sshWays()
    let isAway = true
    const told: unknown[] = []
    const log: Log = { ...silentLog, info: (_event, fields) => void told.push(fields?.["way"]) }
    await using ways = new Ways({
      vsock: async () => {
        if (isAway) throw away
        return new PassThrough()
      },
      ssh: ssh.open,
      log,
    })
    const slow = await ways.connect(never)
    const second = await ways.connect(never)
    expect(ssh.counts).toEqual({ opened: 1, ended: 0 })
    isAway = false
    second.destroy()
    await once(second, "close")
    await ways.connect(never)
    expect(ssh.counts).toEqual({ opened: 1, ended: 0 }) // a stream is still on it
    slow.destroy()
    await once(slow, "close")
    expect(ssh.counts).toEqual({ opened: 1, ended: 1 })
    expect(told).toEqual(["ssh", "vsock"])
  })

  it("takes the vsock that comes back while SSH is still being connected", async () => {
    const ssh = sshWays(() => new Promise(() => undefined))
    let attempts = 0
    const over = new PassThrough()
    await using ways = new Ways({
      vsock: async () => {
        attempts++
        if (attempts < 3) throw away
        return over
      },
      ssh: ssh.open,
      log: silentLog,
    })
    expect(await ways.connect(never)).toBe(over)
    await expect.poll(() => ssh.counts).toEqual({ opened: 1, ended: 1 })
  })

  it("lets streams over vsock be kept for later requests, and those over SSH only where there is nothing better", async () => {
    let isAway = false
    const vsock = async (): Promise<Duplex> => {
      if (isAway) throw away
      return new PassThrough()
    }
    await using both = new Ways({ vsock, ssh: sshWays().open, log: silentLog })
    expect(both.keeps(await both.connect(never))).toBe(true)
    isAway = true
    expect(both.keeps(await both.connect(never))).toBe(false)
    await using only = new Ways({ ssh: sshWays().open, log: silentLog })
    expect(only.keeps(await only.connect(never))).toBe(true)
  })

  it("has only SSH for a machine without a vsock", async () => {
    const ssh = sshWays()
    const ways = new Ways({ ssh: ssh.open, log: silentLog })
    await ways.connect(never)
    expect(ways.way).toBe("ssh")
    await ways[Symbol.asyncDispose]()
    await ways.closed
    expect(ssh.counts).toEqual({ opened: 1, ended: 1 })
    await expect(ways.connect(never)).rejects.toMatchObject({ code: "not-running" })
  })

  it("opens no SSH connection when it was disposed during an attempt over vsock", async () => {
    const ssh = sshWays()
    const ways = new Ways({
      vsock: async () => {
        await ways[Symbol.asyncDispose]()
        throw away
      },
      ssh: ssh.open,
      log: silentLog,
    })
    await expect(ways.connect(never)).rejects.toMatchObject({ code: "not-running" })
    expect(ssh.counts).toEqual({ opened: 0, ended: 0 })
  })

  it("says why neither way is open, already while it tries", async () => {
    const ssh = sshWays(() => new Promise(() => undefined))
    const controller = new AbortController()
    await using ways = new Ways({ vsock: () => Promise.reject(away), ssh: ssh.open, log: silentLog })
    expect(ways.lastError).toBeUndefined()
    const waiting = ways.connect(controller.signal)
    waiting.catch(() => undefined) // awaited below
    await expect.poll(() => ways.lastError).toBe(refused)
    controller.abort(new Error("enough"))
    await expect(waiting).rejects.toThrow("enough")
  })

  it("rejects at once where waiting longer would not help", async () => {
    const ssh = sshWays(() => Promise.reject(refused))
    await using ways = new Ways({ vsock: () => Promise.reject(away), ssh: ssh.open, log: silentLog })
    await expect(ways.connect(never)).rejects.toBe(refused)
  })

  it("rejects with the signal's reason and not by another way", async () => {
    const ssh = sshWays()
    const controller = new AbortController()
    await using ways = new Ways({
      vsock: async () => {
        controller.abort(new Error("enough"))
        throw away
      },
      ssh: ssh.open,
      log: silentLog,
    })
    await expect(ways.connect(controller.signal)).rejects.toThrow("enough")
    expect(ssh.counts.opened).toBe(0)
  })
})

describe("a stream over vsock", () => {
  async function streamWith(
    bridgesGuest: () => Promise<boolean>,
  ): Promise<{ stream: Duplex; guest: Socket }> {
    const directory = await temporaryDirectory()
    const path = directory.at("connect")
    const server = createServer({ allowHalfOpen: true }, (client) => {
      client.on("error", () => client.destroy())
      client.once("data", () => client.write("OK 1\n"))
    })
    server.listen(path)
    await once(server, "listening")
    const [stream, [guest]] = await Promise.all([
      connectOverVsock({ connect: path, lost: false, bridgesGuest }, never),
      once(server, "connection") as Promise<[Socket]>,
    ])
    server.close()
    await directory[Symbol.asyncDispose]()
    return { stream, guest }
  }

  it("ends where the guest has ended it, and its other half goes on", async () => {
    const { stream, guest } = await streamWith(async () => true)
    guest.end("that is all")
    let said = ""
    for await (const chunk of stream) said += String(chunk)
    expect(said).toBe("that is all")
    guest.destroy()
  })

  it("ends with an error where the bridge has lost its guest", async () => {
    const { stream, guest } = await streamWith(async () => false)
    guest.write("that is")
    const [chunk] = (await once(stream, "data")) as [Buffer]
    expect(chunk.toString()).toBe("that is")
    guest.end()
    const [error] = (await once(stream, "error")) as [SidecarError]
    expect(error).toMatchObject({ code: "unreachable" })
    guest.destroy()
  })
})
