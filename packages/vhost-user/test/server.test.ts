import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { FrontEnd, GuestRam } from "@skep/fake-qemu"
import { check, Loop } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { expect, test } from "vitest"
import { connectUnix, listenUnix, Server } from "../src/index.ts"
import { fillDescriptors } from "./descriptors.ts"
import { EchoDevice } from "./echo-device.ts"

const STEPS = 8

test("a server without descriptors pauses, does not spin, and takes the front end when it has some", () => {
  let now = 0
  using device = new EchoDevice()
  using ram = new GuestRam()
  using loop = new Loop({ clock: { now: () => now } })
  const directory = mkdtempSync(join(tmpdir(), "skep-server-"))
  const path = join(directory, "s.sock")
  const pauses: (number | undefined)[] = []
  const fd = listenUnix(path)
  using server = new Server(loop, { device, fd, onPause: (error) => pauses.push(error) })
  const settle = (): void => {
    for (let step = 0; step < STEPS; step++) loop.step()
  }
  const room = fillDescriptors(1)
  using front = new FrontEnd({ fd: check(connectUnix(path), "connect"), ram, turn: settle })
  settle()
  expect(pauses).toEqual([sys.EMFILE])
  now += 100
  settle()
  expect(pauses).toEqual([sys.EMFILE, sys.EMFILE])
  room[Symbol.dispose]()
  now += 100
  settle()
  expect(server.connection).toBeDefined()
  expect(front.features()).toBeGreaterThan(0n)
  rmSync(directory, { recursive: true })
})
