/**
 * Network namespaces of the test's own, with programs and a speaker in them. Nothing leads out of them but what the test lays.
 *
 * @module
 */
import { execFile, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, readdirSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Cleanup } from "@skep/runtime"
import { fromSource, type Program, startProgram } from "@skep/testkit"
import type { ConversationCall, Conversations } from "./conversation.ts"
import type { Reply } from "./speaker.ts"

const PREFIX = "skep-i"
const DIRECTORY = "/run/netns"
const SPEAKER = fileURLToPath(new URL("speaker.ts", import.meta.url))
/** Nothing here takes a tenth of it; what does hangs, and the test says so instead of waiting. */
const PATIENCE_MS = 30_000

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  /** Of both. */
  readonly text: string
}

/** The calls of `Conversations`, in a namespace. */
export type Speaker = {
  readonly [Name in ConversationCall]: (
    argument: Parameters<Conversations[Name]>[0],
  ) => ReturnType<Conversations[Name]>
}

export interface Namespace extends AsyncDisposable {
  readonly name: string
  /** Its file. */
  readonly path: string
  readonly speaker: Speaker
  /** Runs a program to its end; rejects for an exit status that is not 0. Returns what it said on both. */
  run(command: string, ...args: readonly string[]): Promise<string>
  /** The same, whatever its status. */
  try(command: string, ...args: readonly string[]): Promise<Outcome>
  /** A process that ends with the namespace at the latest. */
  start(command: string, ...args: readonly string[]): Program
}

let made = 0

/** Needs root. Those of runs that were killed are removed. */
export async function namespace(): Promise<Namespace> {
  sweep()
  await using cleanup = new Cleanup()
  const name = `${PREFIX}${process.pid}-${made++}`
  ip("netns", "add", name)
  cleanup.defer(() => ip("netns", "delete", name))
  ip("-n", name, "link", "set", "lo", "up")
  const speaker = cleanup.use(await speakerIn(name))
  const owned = cleanup.move()
  const inside = (command: string, args: readonly string[]) => ["netns", "exec", name, command, ...args]
  const attempt = (command: string, args: readonly string[]): Promise<Outcome> =>
    new Promise((resolve) => {
      const options = { timeout: PATIENCE_MS, killSignal: "SIGKILL" as const, maxBuffer: 64 << 20 }
      execFile("ip", inside(command, args), options, (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : null
        resolve({ code, stdout, text: stdout + stderr })
      })
    })
  return {
    name,
    path: `${DIRECTORY}/${name}`,
    speaker: speaker.calls,
    run: async (command, ...args) => {
      const { code, text } = await attempt(command, args)
      if (code === 0) return text
      throw new Error(`${command} ${args.join(" ")} ended with ${code}: ${text}`)
    },
    try: (command, ...args) => attempt(command, args),
    start: (command, ...args) => owned.use(startProgram("ip", inside(command, args))),
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  }
}

interface Spoken extends AsyncDisposable {
  readonly calls: Speaker
}

async function speakerIn(name: string): Promise<Spoken> {
  const node = [process.execPath, ...fromSource(SPEAKER)]
  const child = spawn("ip", ["netns", "exec", name, ...node], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  })
  // There is no "close" after we hung up.
  const gone = once(child, "exit")
  const asked = new Map<number, (reply: Reply) => void>()
  let last = 0
  const replyTo = (id: number): Promise<Reply> => new Promise((resolve) => asked.set(id, resolve))
  child.on("message", (reply: Reply) => {
    asked.get(reply.id)?.(reply)
    asked.delete(reply.id)
  })
  child.once("exit", () => {
    for (const [id, resolve] of asked) resolve({ id, error: "the speaker has gone" })
  })
  const call = async (called: ConversationCall, argument: unknown): Promise<never> => {
    const id = ++last
    const reply = replyTo(id)
    child.send({ id, name: called, argument })
    const answered = await reply
    if ("error" in answered) throw new Error(answered.error)
    return answered.value as never
  }
  const ready = await replyTo(0)
  if ("error" in ready) throw new Error(ready.error)
  return {
    calls: {
      listen: (argument) => call("listen", argument),
      heard: (argument) => call("heard", argument),
      close: (argument) => call("close", argument),
      call: (argument) => call("call", argument),
      echo: (argument) => call("echo", argument),
      ask: (argument) => call("ask", argument),
    },
    [Symbol.asyncDispose]: async () => {
      if (child.connected) child.disconnect()
      await gone
    },
  }
}

function sweep(): void {
  if (!existsSync(DIRECTORY)) return
  for (const name of readdirSync(DIRECTORY)) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-\\d+$`).exec(name)?.[1]
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) ip("netns", "delete", name)
  }
}

function ip(...args: readonly string[]): void {
  execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] })
}
