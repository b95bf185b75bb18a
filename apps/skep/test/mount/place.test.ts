import { createServer, type Server } from "node:http"
import { join } from "node:path"
import { temporaryDirectory } from "@skep/testkit"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { parseMountOptions } from "../../src/mount/machine-mount.ts"
import { findPlace, parsePlace } from "../../src/mount/place.ts"

describe("parsePlace()", () => {
  it.each([
    ["dev", "dev", "/"],
    ["dev:/", "dev", "/"],
    ["dev:/etc/", "dev", "/etc"],
    ["dev:/a//b/../c:d", "dev", "/a/c:d"],
    ["dev:/../..", "dev", "/"],
  ])("reads %s", (text, machine, path) => {
    expect(parsePlace(text)).toStrictEqual({ machine, path })
  })

  it.each([
    ["dev:", "bad-options"],
    ["dev:etc", "bad-options"],
    ["dev:/a\0b", "bad-options"],
    ["../dev:/", "bad-name"],
    ["", "bad-name"],
  ])("refuses %j with %s", (text, code) => {
    expect(() => parsePlace(text)).toThrow(expect.objectContaining({ code }))
  })

  it("gives an absolute path without dots, or refuses", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          const { path } = parsePlace(`dev:${text}`)
          expect(path).toMatch(/^\//)
          expect(path.split("/")).not.toContain("..")
        } catch (error) {
          expect(error).toMatchObject({ code: "bad-options" })
        }
      }),
    )
  })
})

describe("findPlace()", () => {
  const answers: Record<string, unknown> = {
    "/volumes/data": { Mountpoint: "/var/lib/docker/volumes/data/_data" },
    "/volumes/odd": { Mountpoint: 7 },
    "/containers/web/json": {
      State: { Running: true, Pid: 42 },
      GraphDriver: { Data: { MergedDir: "/var/lib/docker/overlay2/x/merged" } },
    },
    "/containers/other/json": { State: { Running: true, Pid: 42 } },
    "/containers/stopped/json": { State: { Running: false, Pid: 0 } },
  }
  const { signal } = new AbortController()
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>
  let server: Server
  let socket: string

  beforeAll(async () => {
    directory = await temporaryDirectory()
    socket = join(directory.path, "docker.sock")
    server = createServer(({ url = "" }, answer) => {
      if (url.startsWith("/volumes/broken")) answer.end("{")
      else if (url in answers) answer.end(JSON.stringify(answers[url]))
      else answer.writeHead(url.includes("failing") ? 500 : 404).end("{}")
    })
    await new Promise<void>((resolve) => server.listen(socket, resolve))
  })
  afterAll(async () => {
    server.close()
    await directory[Symbol.asyncDispose]()
  })

  const wanted = { machine: "dev", path: "/" }

  it.each([
    [wanted, { path: "/", linkBase: "/" }],
    [
      { ...wanted, path: "/etc" },
      { path: "/etc", linkBase: "/etc" },
    ],
    [
      { ...wanted, volume: "data" },
      { path: "/var/lib/docker/volumes/data/_data", linkBase: "/" },
    ],
    [
      { ...wanted, path: "/bin", container: "web" },
      { path: "/var/lib/docker/overlay2/x/merged/bin", linkBase: "/bin" },
    ],
    [
      { ...wanted, container: "other" },
      { path: "/proc/42/root", linkBase: "/" },
    ],
  ])("finds %j", async (what, place) => {
    expect(await findPlace(what, socket, signal)).toStrictEqual(place)
  })

  it.each([
    [{ ...wanted, volume: "none" }, "not-found"],
    [{ ...wanted, container: "../../info" }, "not-found"],
    [{ ...wanted, container: "stopped" }, "not-running"],
    [{ ...wanted, volume: "odd" }, "protocol"],
    [{ ...wanted, volume: "broken" }, "protocol"],
    [{ ...wanted, volume: "failing" }, "unreachable"],
  ])("refuses %j with %s", async (what, code) => {
    await expect(findPlace(what, socket, signal)).rejects.toMatchObject({ code })
  })

  it("says when there is no engine", async () => {
    await expect(findPlace({ ...wanted, volume: "data" }, `${socket}x`, signal)).rejects.toMatchObject({
      code: "unreachable",
    })
  })
})

describe("parseMountOptions()", () => {
  const good = {
    machine: "dev",
    path: "/",
    directory: "/mnt/dev",
    linkBase: "/",
    connect: "/run/connect",
    sshPort: 2222,
    identityFile: "/k",
    hostKey: "ssh-ed25519 AAAA",
    hypervisor: { pid: 4, startTime: "5" },
  }

  it("takes what is right, and what is missing from the defaults", () => {
    expect(parseMountOptions(good)).toStrictEqual({
      ...good,
      readOnly: false,
      cacheMs: 1000,
      deadlineMs: 10_000,
    })
  })

  it.each([
    { machine: "a,b" },
    { path: "etc" },
    { directory: "" },
    { sshPort: 0 },
    { deadlineMs: 1 },
    { more: 1 },
  ])("refuses %j", (wrong) => {
    expect(() => parseMountOptions({ ...good, ...wrong })).toThrow(
      expect.objectContaining({ code: "bad-options" }),
    )
  })
})
