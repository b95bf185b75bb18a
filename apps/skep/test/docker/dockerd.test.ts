/**
 * The docker command through the proxy to a real dockerd, over its socket and over SSH; and published ports.
 *
 * @module
 */
import { createHash, randomBytes } from "node:crypto"
import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Cleanup, silentLog } from "@skep/runtime"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Engine } from "../../src/docker/engine.ts"
import { startDockerProxy } from "../../src/docker/proxy.ts"
import { connectSshEngine } from "../../src/docker/ssh-engine.ts"
import { type Ports, startPorts } from "../../src/ports/ports.ts"
import { MemoryNetwork } from "../ports/fixture.ts"
import { type Dockerd, dockerd, noDockerd, type Ran, shell } from "./dockerd.ts"
import { eventually } from "./fixture.ts"
import { socketEngine } from "./socket-engine.ts"
import { engineOptions, noSshd, sshd } from "./sshd.ts"

const TIMEOUT_MS = 120_000
const BYTES = 24 << 20

const why = noDockerd === undefined ? "" : ` (skipped: ${noDockerd})`

const BUILDKIT_DOCKER = "/usr/bin/docker"
const noBuildKit = existsSync(BUILDKIT_DOCKER) ? undefined : ` (skipped: ${BUILDKIT_DOCKER} is not installed)`

const cleanup = new Cleanup()
let docker: Dockerd
let network: MemoryNetwork
let ports: Ports

async function engineOver(way: string): Promise<Engine> {
  if (way === "socket") return socketEngine(docker.socket)
  const server = cleanup.use(await sshd())
  await server.start()
  return await connectSshEngine(engineOptions(server, docker.socket))
}

beforeAll(async () => {
  if (noDockerd !== undefined) return
  docker = cleanup.use(await dockerd())
}, TIMEOUT_MS)

afterAll(async () => {
  await cleanup[Symbol.asyncDispose]()
}, TIMEOUT_MS)

const ways = noSshd === undefined ? ["socket", "ssh"] : ["socket"]

describe.skipIf(noDockerd !== undefined).each(ways)(`docker over %s${why}`, (way) => {
  let socket: string

  beforeAll(async () => {
    if (noDockerd !== undefined) return
    socket = join(docker.directory, `${way}.sock`)
    const engine = cleanup.use(await engineOver(way))
    network = new MemoryNetwork()
    cleanup.use(
      await startDockerProxy({
        endpoint: socket,
        engine: () => ({ state: "up", engine }),
        log: silentLog,
        holdStart: (container) => ports.settled(container),
      }),
    )
    ports = cleanup.use(
      await startPorts({
        dockerSocket: socket,
        network,
        bindDefault: "127.0.0.1",
        log: silentLog,
        emit: () => undefined,
        signal: new AbortController().signal,
      }),
    )
  }, TIMEOUT_MS)

  async function run(command: string): Promise<Ran> {
    return await shell(socket, command)
  }

  async function out(command: string): Promise<string> {
    const { code, out: said, error } = await run(command)
    expect({ command, code, error }).toEqual({ command, code: 0, error: "" })
    return said
  }

  test.each([
    ["run", "docker run --rm busybox echo hi", "hi\n"],
    ["run -i with a pipe", "echo x | docker run --rm -i busybox cat", "x\n"],
    [
      "run -i that goes on after its input",
      "echo in | docker run --rm -i busybox sh -c 'cat; sleep 1; echo out'",
      "in\nout\n",
    ],
    ["run -i with 20 MB in", "head -c 20000000 /dev/zero | docker run --rm -i busybox wc -c", "20000000\n"],
    ["run with 20 MB out", "docker run --rm busybox head -c 20000000 /dev/zero | wc -c", "20000000\n"],
    ["exit codes", "docker run --rm busybox sh -c 'exit 7'; echo $?", "7\n"],
    [
      "start -ai",
      "docker create -i --name sai busybox cat >/dev/null; echo y | docker start -ai sai; docker rm sai >/dev/null",
      "y\n",
    ],
  ])(
    "%s",
    async (_name, command, expected) => {
      expect(await out(command)).toBe(expected)
    },
    TIMEOUT_MS,
  )

  test(
    "terminals",
    async () => {
      const said = await out(
        "script -qec \"docker run --rm -it busybox sh -c 'tty; exit'\" /dev/null </dev/null",
      )
      expect(said).toContain("/dev/pts/0")
    },
    TIMEOUT_MS,
  )

  test(
    "exec, logs, stats, events, wait, on one container",
    async () => {
      await out("docker run -d --name one busybox sh -c 'echo l1; sleep 1; echo l2; sleep 600' >/dev/null")
      expect(await out("docker exec one echo e")).toBe("e\n")
      expect(await out("echo f | docker exec -i one cat")).toBe("f\n")
      expect(await out("docker exec -d one true; echo ok")).toBe("ok\n")
      expect(await out("timeout 3 docker logs -f one; true")).toBe("l1\nl2\n")
      expect(await out("docker stats --no-stream --format '{{.Name}}' one")).toBe("one\n")
      const events = run("timeout 3 docker events --filter event=kill --format '{{.Action}}'; true")
      await new Promise((resolve) => setTimeout(resolve, 500))
      const waited = run("docker wait one")
      await out("docker kill one >/dev/null")
      expect((await events).out).toBe("kill\n")
      expect((await waited).out).toBe("137\n")
      await out("docker rm -f one >/dev/null")
      const missing = await run("docker exec one ls")
      expect(missing).toMatchObject({
        code: 1,
        error: "Error response from daemon: No such container: one\n",
      })
    },
    TIMEOUT_MS,
  )

  test(
    "cp both ways, commit, save, load, build: tens of megabytes, unchanged",
    async () => {
      const file = join(docker.directory, "random")
      const bytes = randomBytes(BYTES)
      const sum = createHash("sha256").update(bytes).digest("hex")
      writeFileSync(file, bytes)
      await out("docker create --name files busybox sleep 600 >/dev/null")
      await out(`docker cp -q ${file} files:/tmp/random 2>&1`)
      expect(await out("docker cp files:/tmp/random - | tar -xO | sha256sum")).toContain(sum)
      await out("docker commit files kept >/dev/null")
      const id = await out("docker images -q kept")
      await out(
        `docker save -o ${file}.tar kept && docker rm -f files >/dev/null && docker rmi -f kept >/dev/null`,
      )
      await out(`docker load -q -i ${file}.tar >/dev/null`)
      expect(await out("docker images -q kept")).toBe(id)
      expect(await out("docker run --rm kept sha256sum /tmp/random")).toContain(sum)
      const context = join(docker.directory, "context")
      mkdirSync(context, { recursive: true })
      writeFileSync(join(context, "random"), bytes)
      writeFileSync(join(context, "Dockerfile"), "FROM busybox\nCOPY random /r\nRUN sha256sum /r > /sum\n")
      await run(`docker build -q -t built ${context} 2>/dev/null`)
      expect(await out("docker run --rm built cat /sum")).toContain(sum)
      await out("docker rmi -f built kept >/dev/null")
    },
    TIMEOUT_MS,
  )

  // The docker command of Debian has BuildKit's client built in; a later one needs buildx.
  test.skipIf(noBuildKit !== undefined)(
    `build by BuildKit, over /session and /grpc${noBuildKit ?? ""}`,
    async () => {
      const context = join(docker.directory, "buildkit")
      mkdirSync(context, { recursive: true })
      writeFileSync(join(context, "random"), randomBytes(1 << 20))
      writeFileSync(join(context, "Dockerfile"), "FROM busybox\nCOPY random /r\nRUN sha256sum /r > /sum\n")
      const built = await run(`DOCKER_BUILDKIT=1 ${BUILDKIT_DOCKER} build -q -t kit ${context}`)
      expect(built).toMatchObject({ code: 0, error: "" })
      expect(await out("docker run --rm kit cat /sum")).toContain("/r")
    },
    TIMEOUT_MS,
  )

  test(
    "many at a time",
    async () => {
      const all = await Promise.all(
        Array.from({ length: 16 }, (_, index) => run(`echo ${index} | docker run --rm -i busybox cat`)),
      )
      expect(all.map(({ out: said }) => said)).toEqual(Array.from({ length: 16 }, (_, index) => `${index}\n`))
      const versions = await Promise.all(
        Array.from({ length: 60 }, () => run("docker version --format '{{.Server.Version}}'")),
      )
      expect(new Set(versions.map(({ out: said }) => said)).size).toBe(1)
    },
    TIMEOUT_MS,
  )

  test(
    "run -p returns when the host listens, and the listener goes with the container",
    async () => {
      await out("docker run -d --name web -p 8080:80 -p 127.0.0.1:9090:90/udp busybox sleep 600 >/dev/null")
      const both = ["tcp/127.0.0.1/8080>:8080", "udp/127.0.0.1/9090>127.0.0.1:9090"]
      expect(network.listening).toEqual(both)
      expect(ports.status().forwards.map(({ container }) => container)).toEqual(["web", "web"])
      await out("docker pause web >/dev/null && docker unpause web >/dev/null")
      expect(network.listening).toEqual(both)
      await out("docker restart -t 0 web >/dev/null")
      expect(network.listening).toEqual(both)
      await out("docker stop -t 0 web >/dev/null")
      await eventually(() => network.listening.length === 0, "gone with the stop")
      await out("docker start web >/dev/null")
      expect(network.listening).toEqual(both)
      await out("docker rm -f web >/dev/null")
      await eventually(() => network.listening.length === 0, "gone with the container")
      network.taken.add("tcp/127.0.0.1/8080")
      await out("docker run -d --name taken -p 8080:80 busybox sleep 600 >/dev/null")
      expect(ports.status().warnings).toMatchObject([{ container: "taken", port: "8080/tcp" }])
      await out("docker rm -f taken >/dev/null")
      await eventually(() => ports.status().warnings.length === 0, "the warning goes with the container")
    },
    TIMEOUT_MS,
  )

  test(
    "a client that is killed leaves nothing behind",
    async () => {
      await out("docker run -d --name talk busybox sh -c 'while true; do echo t; sleep 0.1; done' >/dev/null")
      await run("timeout -s KILL 1 docker logs -f talk >/dev/null; true")
      await out("docker rm -f talk >/dev/null")
    },
    TIMEOUT_MS,
  )
})
