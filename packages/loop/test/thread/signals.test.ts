import { readFileSync } from "node:fs"
import { constants } from "node:os"
import { setImmediate as turn } from "node:timers/promises"
import { type LoopThread, startLoop } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import koffi from "koffi"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Scratch } from "../../src/memory/scratch.ts"
import type { Blocking, Way } from "./modules/blocking.ts"

const ROUNDS = 100
const library = koffi.load(null)
const tgkill = library.func("int tgkill(int pid, int tid, int signal)")
const siginterrupt = library.func("int siginterrupt(int signal, int flag)")
const { SIGUSR2 } = constants.signals

let thread: LoopThread<Blocking>
let scratch: Scratch
let address: number
let heard = 0
const hear = (): void => void heard++

beforeAll(async () => {
  scratch = new Scratch(4096)
  address = scratch.region("bytes", 16).address
  thread = await startLoop<Blocking>(new URL("./modules/blocking.ts", import.meta.url))
  process.on("SIGUSR2", hear)
  // Node's own handler would have the kernel make the call again by itself.
  sys.check(siginterrupt(SIGUSR2, 1), "siginterrupt")
})

afterAll(async () => {
  await thread.stop()
  process.off("SIGUSR2", hear)
  scratch[Symbol.dispose]()
})

describe("a call that signals interrupt", () => {
  it.each<Way>(["read", "readv", "receive", "receiveMessage", "epoll"])("%s is made again", async (way) => {
    const pair = new Int32Array(2)
    sys.check(sys.socketPair(sys.AF_UNIX, sys.SOCK_STREAM, pair), "socketpair")
    const [here = -1, there = -1] = pair
    const answer = thread.call("wait", { way, fd: there })
    await interrupt()
    sys.check(sys.write(here, address, 1), "write")
    expect(await answer).toBe(1)
    sys.close(here)
    sys.close(there)
  })

  it("accept is made again", async () => {
    const path = `\0skep-signals-${process.pid}`
    const server = sys.check(sys.socket(sys.AF_UNIX, sys.SOCK_STREAM), "socket")
    sys.check(sys.bind(server, { family: "unix", path }), "bind")
    sys.check(sys.listen(server, 1), "listen")
    const answer = thread.call("wait", { way: "accept", fd: server })
    await interrupt()
    const client = sys.check(sys.socket(sys.AF_UNIX, sys.SOCK_STREAM), "socket")
    sys.check(sys.connect(client, { family: "unix", path }), "connect")
    expect(await answer).toBe(1)
    sys.close(client)
    sys.close(server)
  })
})

/** Sends signals to the thread while it sleeps in the kernel. */
async function interrupt(): Promise<void> {
  for (let round = 0; round < ROUNDS; ) {
    const stat = readFileSync(`/proc/self/task/${thread.threadId}/stat`, "utf8")
    if (stat.slice(stat.lastIndexOf(")") + 2).startsWith("S")) {
      expect(tgkill(process.pid, thread.threadId, SIGUSR2)).toBe(0)
      round++
    }
    await turn()
  }
  expect(heard).toBeGreaterThan(0)
}
