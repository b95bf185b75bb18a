/**
 * Which requests are looked at, and what becomes of their bodies.
 *
 * @module
 */
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { withMounts } from "../../../src/docker/mounts/check.ts"
import { mayMount, mountSources } from "../../../src/docker/mounts/sources.ts"

const CREATE = "/v1.41/containers/create?name=x"
const moved = (path: string): Promise<string> => Promise.resolve(path.replace(/^\/host/, "/guest"))

test.each([
  ["POST", "/containers/create", true],
  ["POST", CREATE, true],
  ["POST", "/v1.41/services/create", true],
  ["POST", "/v1.41/services/a%20b/update?version=3", true],
  ["POST", "/volumes/create", true],
  ["GET", CREATE, false],
  ["POST", "/v1.41/containers/create/x", false],
  ["POST", "/v1.41/containers/x/start", false],
  ["POST", "/build?x=/containers/create", false],
])("%s %s: %s", (method, url, looked) => {
  expect(mayMount(method, url)).toBe(looked)
})

describe("mountSources()", () => {
  const paths = (url: string, body: unknown): readonly string[] =>
    mountSources(url, body).map(({ path }) => path)

  test("binds, in any case of the keys, and no volumes", () => {
    const body = {
      hostconfig: { BINDS: ["/a:/b", "/c d:/e:ro,z", "volume:/x", "/anonymous", 7, "./rel:/x"] },
    }
    expect(paths(CREATE, body)).toEqual(["/a", "/c d"])
  })

  test("mounts: binds, and volumes of the local driver that bind", () => {
    const device = { type: "none", o: "rw,bind", device: "/d" }
    const body = {
      HostConfig: {
        Mounts: [
          { Type: "bind", Source: "/a", ReadOnly: true },
          { Type: "volume", Source: "v" },
          {
            Type: "volume",
            Source: "w",
            VolumeOptions: { DriverConfig: { Name: "local", Options: device } },
          },
          { Type: "tmpfs" },
          null,
        ],
      },
    }
    expect(paths(CREATE, body)).toEqual(["/a", "/d"])
  })

  test("services and volumes", () => {
    const mounts = [{ Type: "bind", Source: "/s" }]
    expect(paths("/services/create", { TaskTemplate: { ContainerSpec: { Mounts: mounts } } })).toEqual(["/s"])
    expect(paths("/volumes/create", { DriverOpts: { type: "none", o: "bind", device: "/v" } })).toEqual([
      "/v",
    ])
    expect(
      paths("/volumes/create", { DriverOpts: { type: "nfs", o: "addr=1.2.3.4", device: ":/v" } }),
    ).toEqual([])
  })

  test("finds nothing and throws nothing in whatever else is sent", () => {
    fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.constantFrom(CREATE, "/services/create", "/volumes/create"),
        (body, url) => {
          for (const { path } of mountSources(url, {
            HostConfig: body,
            TaskTemplate: body,
            DriverOpts: body,
          }))
            expect(path.startsWith("/")).toBe(true)
        },
      ),
    )
  })
})

describe("withMounts()", () => {
  test("leaves the bytes as they came where nothing moves", async () => {
    const body = Buffer.from('{ "Memory" : 9007199254740993, "HostConfig":{"Binds":["/other:/x"]} }')
    expect(await withMounts(CREATE, body, moved)).toBe(body)
    const broken = Buffer.from('{"HostConfig":')
    expect(await withMounts(CREATE, broken, moved)).toBe(broken)
  })

  test("changes sources and nothing else", async () => {
    const body = {
      Image: "/host",
      HostConfig: {
        Binds: ["/host/a:/host/b:ro"],
        Mounts: [{ Type: "bind", Source: "/host", Target: "/host" }],
      },
    }
    const sent: unknown = JSON.parse(
      (await withMounts(CREATE, Buffer.from(JSON.stringify(body)), moved)).toString(),
    )
    expect(sent).toEqual({
      Image: "/host",
      HostConfig: {
        Binds: ["/guest/a:/host/b:ro"],
        Mounts: [{ Type: "bind", Source: "/guest", Target: "/host" }],
      },
    })
  })
})
