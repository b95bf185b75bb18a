import { spawn } from "node:child_process"
import { once } from "node:events"
import { fromSource, temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { ownPaths, parseVsockOptions } from "../src/options.ts"

const SOCKET = "/run/vhost.sock"
const parse = (options: object) => parseVsockOptions({ socket: SOCKET, ...options }, "linux")

describe("devices", () => {
  it("reads HyperKit's, vfkit's and Firecracker's, which add up", () => {
    const parsed = parse({
      guestForwards: [1525],
      devices: [
        "virtio-sock,guest_cid=3,path=/run/v,guest_forwards=2376",
        "virtio-vsock,port=5,socketURL=/run/a.sock,connect",
        "port=6,socketURL=/run/b.sock",
        '{"guest_cid": 3, "uds_path": "/run/fc.sock"}',
      ],
    })
    expect(parsed).toMatchObject({
      guestCid: 3,
      directory: "/run/v",
      udsPath: "/run/fc.sock",
      guestForwards: [1525, 2376],
      ports: [
        { port: 5, path: "/run/a.sock", mode: "connect" },
        { port: 6, path: "/run/b.sock", mode: "listen" },
      ],
    })
    expect(parsed).not.toHaveProperty("devices")
    // As `spawn` hands checked options to the program, which checks them again.
    expect(parseVsockOptions(parsed, "linux")).toEqual(parsed)
  })

  it("takes what was said before in the same words", () => {
    expect(parse({ guestCid: 3, directory: "/v", devices: ["guest_cid=3,path=/v"] })).toEqual(
      parse({ guestCid: 3, directory: "/v" }),
    )
  })

  it.each([
    [{ guestCid: 4, devices: ["guest_cid=3,path=/v"] }, 'its guestCid is not "4", which was said before'],
    [
      { devices: ["guest_cid=3,path=/v", '{"guest_cid": 5, "uds_path": "/f"}'] },
      'its guestCid is not "3", which was said before',
    ],
    [{ devices: ["guest_cid=3,path=/v", "guest_cid=3,path=/w"] }, 'its directory is not "/v"'],
    [{ udsPath: "/e", devices: ['{"guest_cid": 3, "uds_path": "/f"}'] }, 'its udsPath is not "/e"'],
    [
      {
        guestCid: 3,
        devices: ["port=5,socketURL=/a", "port=5,socketURL=/b"],
      },
      'the host ports: "5" is there twice',
    ],
    [{ devices: ["virtio-sock,guest_cid=3,path=v"] }, "\"directory\": it is 'v': must be an absolute path"],
    [{ devices: ["virtio-sock,guest_cid=3"] }, "guest_cid and path are both required"],
    [{ devices: ["virtio-net,en0"] }, 'Cannot use the vsock device "virtio-net,en0": it begins with none of'],
    [{ devices: ["{guest_cid: 3}"] }, "it is not JSON"],
    [{ devices: "virtio-sock" }, "\"devices\": it is 'virtio-sock'"],
    [{ devices: ["guest_cid=3,path=/v"], ports: 7 }, '"ports": it is 7'],
    [{ devices: ["virtio-vsock,port=5,socketURL=/a"] }, '"guestCid": it is missing'],
  ])("refuses %o", (options, reason) => {
    expect(() => parse(options)).toThrow(
      expect.objectContaining({ code: "bad-options", message: expect.stringContaining(reason) }),
    )
  })
})

describe("skep-vsock --device", () => {
  const program = fromSource(import.meta.dirname, "../src/main.ts")

  it("may be repeated", async () => {
    await using directory = await temporaryDirectory()
    const devices = [
      `virtio-sock,guest_cid=3,path=${directory.at("v")},guest_forwards=2376`,
      `virtio-vsock,port=5,socketURL=${directory.at("a.sock")},connect`,
      JSON.stringify({ guest_cid: 3, uds_path: directory.at("fc.sock") }),
    ]
    const socket = directory.at("vhost.sock")
    const flags = ["--socket", socket, "--end-with-stdin", ...devices.flatMap((each) => ["--device", each])]
    const child = spawn(process.execPath, [...program, ...flags], { stdio: ["pipe", "pipe", "ignore"] })
    const [line] = (await once(child.stdout, "data")) as [Buffer]
    const expected = parseVsockOptions({ socket, devices }, "linux")
    expect(JSON.parse(line.toString())).toMatchObject({ ready: true, endpoints: ownPaths(expected) })
    expect(ownPaths(expected)).toHaveLength(6)
    const ended = once(child, "exit")
    child.stdin.end()
    await ended
  })

  it("is refused with one sentence and code 2", async () => {
    const flags = ["--guest-cid", "4", "--socket", SOCKET, "--device", "virtio-sock,guest_cid=3,path=/v"]
    const child = spawn(process.execPath, [...program, ...flags], { stdio: ["ignore", "pipe", "ignore"] })
    const [[line], [code]] = await Promise.all([once(child.stdout, "data"), once(child, "exit")])
    expect(code).toBe(2)
    expect(JSON.parse(String(line))).toMatchObject({ ready: false, error: { code: "bad-options" } })
  })
})
