import { SidecarError } from "@skep/contract"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { parseFirecracker, parseHyperkit, parseVfkit } from "../../src/dialect/option-string.ts"

describe("parseHyperkit()", () => {
  it("reads the line of Docker.app", () => {
    expect(parseHyperkit("virtio-sock,guest_cid=3,path=/run/vsock,guest_forwards=2376;1525")).toEqual({
      guestCid: 3,
      directory: "/run/vsock",
      guestForwards: [2376, 1525],
    })
    expect(parseHyperkit("path=v,guest_cid=4294967294")).toEqual({
      guestCid: 4294967294,
      directory: "v",
      guestForwards: [],
    })
  })

  it("reads forwards as strtoul with base 0 does", () => {
    const forwards = (list: string) =>
      parseHyperkit(`guest_cid=3,path=/v,guest_forwards=${list}`).guestForwards
    expect(forwards("0x948;0X10;010;0;")).toEqual([2376, 16, 8, 0])
    expect(forwards("")).toEqual([])
  })

  it.each([
    ["", '"" is not one of'],
    ["virtio-sock", "both required"],
    ["guest_cid=3", "both required"],
    ["guest_cid=3,path=", '"path=" is not one of'],
    ["path=/v,guest_cid=2", 'guest_cid is "2"'],
    ["path=/v,guest_cid=4294967295", "guest_cid is"],
    ["path=/v,guest_cid=0x10", 'guest_cid is "0x10"'],
    ["path=/v,guest_cid=-3", "guest_cid is"],
    ["path=/v,guest_cid=3,guest_forwards=1;2;3;4;5", "has 5 ports, and may have 4"],
    ["path=/v,guest_cid=3,guest_forwards=1;;2", '"" is not a port'],
    ["path=/v,guest_cid=3,guest_forwards=09", '"09" is not a port'],
    ["path=/v,guest_cid=3,guest_forwards=4294967295", "is not a port"],
    ["path=/v,guest_cid=3,guest_forwards=-1", "is not a port"],
    ["path=/v,guest_cid=3,guest_forwards=1 2", "is not a port"],
    ["path=/v,guest_cid=3,guest_forwards=8;010", "a port twice"],
    ["virtio-vsock,guest_cid=3,path=/v", '"virtio-vsock" is not one of'],
  ])("refuses %j", (text, reason) => {
    expect(refusal(() => parseHyperkit(text))).toContain(reason)
  })
})

describe("parseVfkit()", () => {
  it("reads both directions, of which listen is the default", () => {
    expect(parseVfkit("virtio-vsock,port=5,socketURL=/a.sock,connect")).toEqual({
      port: 5,
      path: "/a.sock",
      mode: "connect",
    })
    expect(parseVfkit("socketURL=/a=b.sock,port=1024")).toEqual({
      port: 1024,
      path: "/a=b.sock",
      mode: "listen",
    })
    expect(parseVfkit("port=5,socketURL=/a.sock,listen").mode).toBe("listen")
  })

  it.each([
    ["virtio-vsock", "both required"],
    ["port=5", "both required"],
    ["port=0x5,socketURL=/a", '"0x5" is not a port'],
    ["port=4294967295,socketURL=/a", "is not a port"],
    ["port=5,socketURL=a.sock", "must be an absolute path"],
    ["port=5,socketURL=/a,both", '"both" is not one of'],
  ])("refuses %j", (text, reason) => {
    expect(refusal(() => parseVfkit(text))).toContain(reason)
  })
})

describe("parseFirecracker()", () => {
  it("reads the body of PUT /vsock", () => {
    expect(parseFirecracker({ vsock_id: "v", guest_cid: 3, uds_path: "./v.sock" })).toEqual({
      guestCid: 3,
      udsPath: "./v.sock",
    })
  })

  it.each([
    [undefined, "expected object"],
    [{ guest_cid: 2, uds_path: "/v" }, "guest_cid:"],
    [{ guest_cid: 3, uds_path: "" }, "uds_path:"],
    [{ guest_cid: 3 }, "uds_path:"],
    [{ guest_cid: 3, uds_path: "/v", more: 1 }, "more"],
    [{ guest_cid: 3n, uds_path: "/v" }, "guest_cid:"],
  ])("refuses %o", (input, reason) => {
    expect(refusal(() => parseFirecracker(input))).toContain(reason)
  })
})

describe("all of them", () => {
  it("throw nothing but bad-options, whatever the text", () => {
    const token = fc.constantFrom(
      "virtio-sock",
      "virtio-vsock",
      ",",
      "guest_cid=",
      "path=",
      "guest_forwards=",
      ";",
      "3",
      "0x",
      "port=",
      "socketURL=",
      "/",
      "listen",
      "connect",
      "=",
      "99999999999999",
      "\0",
      "é",
    )
    const text = fc.oneof(
      fc.array(token, { maxLength: 12 }).map((tokens) => tokens.join("")),
      fc.string(),
    )
    fc.assert(
      fc.property(text, fc.anything(), (line, input) => {
        for (const run of [
          () => parseHyperkit(line),
          () => parseVfkit(line),
          () => parseFirecracker(input),
        ]) {
          try {
            run()
          } catch (error) {
            expect(error).toBeInstanceOf(SidecarError)
            expect(error).toMatchObject({ code: "bad-options" })
          }
        }
      }),
    )
  })
})

function refusal(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof SidecarError && error.code === "bad-options") return error.message
    throw error
  }
  throw new Error("not refused")
}
