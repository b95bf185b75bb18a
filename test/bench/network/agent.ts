/**
 * The host's end of agent.c: netload in a virtual machine, over a virtio-serial port.
 *
 * @module
 */
import { once } from "node:events"
import { connect, type Socket } from "node:net"
import { createInterface } from "node:readline"

export interface Agent extends Disposable {
  /** Runs netload to its end in the guest, and returns its first line; rejects with what it says if it fails. */
  readonly run: (words: readonly string[], limitMs: number) => Promise<string>
  /** Resolves with its first line, and leaves it running. */
  readonly start: (words: readonly string[], limitMs: number) => Promise<string>
  /** Fulfils when the agent has said that it is there. */
  readonly ready: Promise<string>
}

interface Job {
  readonly lines: string[]
  readonly tell: (what: "out" | "exit", rest: string) => void
}

/** `path` is where QEMU listens for the port. */
export async function connectAgent(path: string): Promise<Agent> {
  const socket = connect(path)
  await once(socket, "connect")
  const jobs = new Map<string, Job>()
  createInterface({ input: socket }).on("line", (line) => {
    const [id = "", what = "", ...rest] = line.split(" ")
    if (what === "out" || what === "exit") jobs.get(id)?.tell(what, rest.join(" "))
  })
  let last = 0
  return {
    run: (words, limitMs) => begin(socket, jobs, String(++last), { words, limitMs, until: "exit" }),
    start: (words, limitMs) => begin(socket, jobs, String(++last), { words, limitMs, until: "out" }),
    ready: listen(jobs, "0", { what: "the agent", limitMs: READY_MS, until: "out" }),
    [Symbol.dispose]: () => void socket.destroy(),
  }
}

const READY_MS = 120_000

interface Order {
  readonly words: readonly string[]
  readonly limitMs: number
  readonly until: "out" | "exit"
}

async function begin(socket: Socket, jobs: Map<string, Job>, id: string, order: Order): Promise<string> {
  const { words, limitMs, until } = order
  const answer = listen(jobs, id, { what: `netload ${words.join(" ")}`, limitMs, until })
  socket.write(`${id} run ${words.join(" ")}\n`)
  try {
    return await answer
  } catch (error) {
    socket.write(`${id} kill\n`)
    throw error
  }
}

function listen(
  jobs: Map<string, Job>,
  id: string,
  {
    what,
    limitMs,
    until,
  }: { readonly what: string; readonly limitMs: number; readonly until: "out" | "exit" },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const lines: string[] = []
    const timer = setTimeout(() => end(new Error(`${what}: no answer in ${limitMs} ms`)), limitMs)
    const end = (result: string | Error): void => {
      clearTimeout(timer)
      jobs.delete(id)
      if (typeof result === "string") resolve(result)
      else reject(result)
    }
    jobs.set(id, {
      lines,
      tell: (kind, rest) => {
        if (kind === "out") lines.push(rest)
        if (kind === "exit" && rest !== "0") end(new Error(`${what}: ${lines.join("; ") || `exit ${rest}`}`))
        else if (kind === until) end(lines[0] ?? "")
      },
    })
  })
}
