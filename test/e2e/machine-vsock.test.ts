// A machine's vsock in use: Docker, the shell, the guest's agent and log go over it, and whatever is killed comes back (XH-22, DB-26, DB-25).
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, rmSync } from "node:fs"
import { connect, createServer, type Server } from "node:net"
import { join } from "node:path"
import { identityOf, isAlive } from "@skep/runtime"
import { processesMentioning } from "@skep/testkit"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { IMAGE } from "./busybox.ts"
import { run, sharedSkep } from "./skep.ts"

const skep = sharedSkep()
const directory = join(skep.home, "r/default/vsock")
const CID = "00000003"
/** For a container: the guest's own programs, such as socat, with what they need. */
const GUEST_PROGRAMS = ["-v", "/usr:/usr:ro", "-v", "/usr/lib:/lib:ro", "-v", "/usr/lib64:/lib64:ro"]

beforeAll(async () => {
  await skep.run(["up"])
})

function pidOf(program: string): number {
  const line = processesMentioning(skep.home).find((each) => each.includes(`programs/${program}.js`)) ?? ""
  const pid = Number(/^process (\d+)/.exec(line)?.[1])
  if (Number.isNaN(pid)) throw new Error(`there is no ${program}`)
  return pid
}

/** Resolves when those very processes are gone. */
async function killed(...programs: readonly string[]): Promise<void> {
  const identities = programs.map((program) => identityOf(pidOf(program)))
  for (const identity of identities) if (identity !== undefined) process.kill(identity.pid, "SIGKILL")
  while (identities.some((identity) => identity !== undefined && isAlive(identity)))
    await new Promise((resolve) => setImmediate(resolve))
}

/** Docker goes over vsock, and the device is whole. */
async function backOnVsock(): Promise<void> {
  const look = async (): Promise<unknown> => {
    await skep.docker(["version"])
    const { way, vm } = await skep.json(["status"])
    return { way, devices: vm?.devices }
  }
  await expect.poll(look, { timeout: 60_000, interval: 200 }).toEqual({
    way: "vsock",
    devices: expect.arrayContaining([{ name: "vsock", state: "relaying", runs: true }]),
  })
}

/** What is said on a stream of the machine's `connect` socket until it ends, or `until` has come. */
async function said(greeting: string, until: RegExp): Promise<string> {
  const socket = connect(join(directory, "connect"))
  socket.on("error", () => socket.destroy())
  socket.write(greeting)
  let text = ""
  for await (const chunk of socket) {
    text += String(chunk)
    if (until.test(text)) break
  }
  socket.destroy()
  return text
}

describe("skep up", () => {
  it("gives a machine a vsock without being told, and Docker goes over it", async () => {
    const status = await skep.json(["status"])
    expect(status).toMatchObject({
      docker: "up",
      way: "vsock",
      record: { guestCid: 3 },
      vm: { devices: expect.arrayContaining([{ name: "vsock", state: "relaying", runs: true }]) },
    })
    expect((await skep.run(["status"])).stdout).toContain("up, over vsock")
  })

  it("XH-22: serves HyperKit's connect socket, and Firecracker's dialect on it", async () => {
    expect(await said(`${CID}.00000016\n`, /\n/)).toMatch(/^SSH-2\.0-/)
    expect(await said("CONNECT 22\n", /\n[^\n]*\n/)).toMatch(/^OK \d+\nSSH-2\.0-/)
    expect(await said("CONNECT 9\n", /\n/)).toBe("")
  })

  it("DB-26: socat on the host reaches Docker at the guest's port 2376, in each dialect", async () => {
    const request = "GET /_ping HTTP/1.0\r\n\r\n"
    const hyperkit = await run("socat", ["-t30", "-", `UNIX-CONNECT:${directory}/connect`], {
      input: `${CID}.00000948\n${request}`,
    })
    expect(hyperkit.stdout).toMatch(/^HTTP\/1\.0 200 OK\r\n[^]*\r\n\r\nOK$/)
    const firecracker = await run("socat", ["-t30", "-", `UNIX-CONNECT:${directory}/connect`], {
      input: `CONNECT 2376\n${request}`,
    })
    expect(firecracker.stdout).toMatch(/^OK \d+\nHTTP\/1\.0 200 OK\r\n/)
  })

  it("leads socat in the guest to a service of the host", async () => {
    const path = join(directory, "00000002.00001b58")
    const service = spawn("socat", [`UNIX-LISTEN:${path}`, "SYSTEM:echo hello from the host; cat"], {
      stdio: "ignore",
    })
    await expect.poll(() => existsSync(path)).toBe(true)
    const line = "echo and from the guest | socat -t30 - VSOCK-CONNECT:2:7000"
    expect((await skep.run(["shell", "--", line])).stdout).toBe("hello from the host\nand from the guest\n")
    if (service.exitCode === null) await once(service, "exit")
    rmSync(path, { force: true })
  })
})

describe("skep shell", () => {
  it("goes over the machine's vsock", async () => {
    // What sshd says of a client that has no address.
    expect((await skep.run(["shell", "--", "echo $SSH_CONNECTION"])).stdout).toMatch(/^UNKNOWN /)
  })

  it("goes over TCP while the vsock is away", async () => {
    const backend = pidOf("backend")
    process.kill(backend, "SIGSTOP") // nobody starts another one meanwhile
    try {
      await killed("vsock")
    } finally {
      process.kill(backend, "SIGCONT")
    }
    expect((await skep.run(["shell", "--", "echo $SSH_CONNECTION"])).stdout).toMatch(
      /^(UNKNOWN|192\.168\.64\.1) /,
    )
    await backOnVsock()
  })
})

describe("the guest's agent", () => {
  it("tells what is inside: addresses, listeners, memory, disk, clock", async () => {
    const { guest } = await skep.json(["status"])
    expect(guest.facts.addresses).toContainEqual(
      expect.objectContaining({
        interface: "eth0",
        address: expect.stringMatching(/^192\.168\.64\./),
        prefixLength: 24,
      }),
    )
    expect(guest.facts.listeners).toContainEqual(expect.objectContaining({ transport: "tcp", port: 22 }))
    expect(guest.facts.memory.availableBytes).toBeGreaterThan(0)
    expect(guest.facts.memory.totalBytes).toBeGreaterThan(guest.facts.memory.availableBytes)
    expect(guest.facts.dataDisk.totalBytes).toBeGreaterThan(guest.facts.dataDisk.usedBytes)
    expect(guest.skewMs).toBeTypeOf("number")
    const { stdout } = await skep.run(["status"])
    for (const row of ["memory", "data disk", "addresses", "listens"]) expect(stdout).toContain(`\n${row} `)
  })

  it("theme 4: a clock that is wrong is set to the host's", async () => {
    await skep.run(["shell", "--", "date -s @1000000000"])
    const guestSeconds = async (): Promise<number> =>
      Number((await skep.run(["shell", "--", "date +%s"])).stdout.trim())
    await expect
      .poll(async () => Math.abs((await guestSeconds()) - Date.now() / 1000), {
        timeout: 60_000,
        interval: 1000,
      })
      .toBeLessThan(30)
    expect(Math.abs((await skep.json(["status"])).guest.skewMs)).toBeLessThan(30_000)
  })
})

describe("the guest's log", () => {
  it("reaches the host: its syslog and its kernel's messages", async () => {
    await skep.run(["shell", "--", "logger -t e2e a word to the host; echo and the kernel > /dev/kmsg"])
    const log = async (): Promise<string> =>
      (await skep.run(["logs", "--source", "guest", "--lines", "50"], { check: false })).stdout
    await expect.poll(log, { timeout: 60_000, interval: 500 }).toContain("a word to the host")
    await expect.poll(log, { timeout: 60_000, interval: 500 }).toContain("and the kernel")
  })
})

describe("the SSH agent", () => {
  const servers: Server[] = []
  afterAll(() => {
    for (const server of servers) server.close()
  })

  /** Something that says its name to whoever comes, as an agent's socket. */
  async function agentNamed(name: string): Promise<string> {
    const path = join(skep.home, `${name}.sock`)
    const server = createServer((client) => {
      client.on("error", () => client.destroy())
      client.end(`${name}\n`)
    })
    server.listen(path)
    await once(server, "listening")
    servers.push(server)
    return path
  }

  const ask = "socat -t10 - UNIX-CONNECT:/run/host-services/ssh-auth.sock < /dev/null"

  it("DB-26: is in the guest at /run/host-services/ssh-auth.sock, and follows the host's", async () => {
    for (const name of ["first", "second"]) {
      const env = { SSH_AUTH_SOCK: await agentNamed(name) }
      expect((await skep.run(["shell", "--", ask], { env })).stdout).toBe(`${name}\n`)
    }
  })

  it("serves a container that mounts it, whoever it runs as", async () => {
    const env = { SSH_AUTH_SOCK: await agentNamed("third") }
    await skep.run(["status"], { env })
    const socket = "/run/host-services/ssh-auth.sock"
    const options = ["--user", "1000", "-v", `${socket}:/agent`, ...GUEST_PROGRAMS]
    const command = ["/usr/bin/socat", "-t10", "-", "UNIX-CONNECT:/agent"]
    const { stdout } = await skep.docker(["run", "--rm", ...options, IMAGE, ...command])
    expect(stdout).toBe("third\n")
  })
})

describe("a container without that socket", () => {
  it("is not led to the SSH agent, though it can open a vsock", async () => {
    const asked: string[] = []
    const path = join(skep.home, "asked.sock")
    const server = createServer((client) => {
      asked.push("somebody")
      client.on("error", () => client.destroy()).end("an agent")
    })
    server.listen(path)
    await once(server, "listening")
    await skep.run(["status"], { env: { SSH_AUTH_SOCK: path } })
    const line = "echo let me in | /usr/bin/socat -t10 - VSOCK-CONNECT:2:1026; echo over"
    const { stdout } = await skep.docker(["run", "--rm", ...GUEST_PROGRAMS, IMAGE, "sh", "-c", line])
    server.close()
    expect(stdout).toBe("over\n")
    expect(asked).toEqual([])
  })
})

describe("killed under a running machine", () => {
  it("skep-vsock: a stream that is open ends with an error, and the next command works", async () => {
    await skep.docker([
      "run",
      "-d",
      "--name",
      "talker",
      IMAGE,
      "sh",
      "-c",
      "while sleep 0.1; do echo word; done",
    ])
    try {
      for (let round = 1; round <= 3; round++) {
        const logs = spawn("docker", ["logs", "-f", "talker"], {
          env: skep.env,
          stdio: ["ignore", "pipe", "ignore"],
        })
        const ended = once(logs, "exit")
        await once(logs.stdout, "data")
        logs.stdout.resume()
        await killed("vsock")
        expect((await skep.docker(["ps", "--format", "{{.Names}}"])).stdout).toContain("talker")
        const [code] = (await ended) as [number]
        expect(code).toBe(1)
        await backOnVsock()
      }
    } finally {
      await skep.docker(["rm", "-f", "talker"])
    }
  })

  it("the keeper: Docker goes on over SSH, until the guest has started its device anew", async () => {
    await killed("keeper")
    expect((await skep.docker(["run", "--rm", IMAGE, "echo", "still here"])).stdout).toBe("still here\n")
    await backOnVsock()
  })

  it("the launcher alone: the next one finds its keeper, and Docker stays on the vsock", async () => {
    await killed("launcher")
    await backOnVsock()
  })

  it("launcher, keeper and skep-vsock together", async () => {
    const { vm } = await skep.json(["status"])
    await killed("launcher", "keeper", "vsock")
    expect((await skep.docker(["run", "--rm", IMAGE, "echo", "still here"])).stdout).toBe("still here\n")
    await backOnVsock()
    expect((await skep.json(["status"])).vm.process.pid).toBe(vm.process.pid)
  })

  it("the backend with them: the next command finds the machine and puts all back", async () => {
    await killed("backend", "keeper", "vsock")
    await skep.run(["up"])
    await backOnVsock()
  })
})

describe("skep stop", () => {
  it("ends the sidecars with the machine and leaves none of their sockets", async () => {
    await skep.run(["stop"])
    const programs = ["launcher", "keeper", "vsock"].map((name) => `programs/${name}.js`)
    const left = processesMentioning(join(skep.home, "r/default")).filter((line) =>
      programs.some((program) => line.includes(program)),
    )
    expect(left).toEqual([])
    const sockets = ["vsock.sock", "keeper.sock", "vhost-vsock.sock", "vsock/connect"]
    expect(sockets.filter((name) => existsSync(join(skep.home, "r/default", name)))).toEqual([])
    await skep.run(["up"])
  })
})
