/**
 * What this host's accelerators turned out to do, remembered across starts.
 *
 * A verdict holds for one host kernel, processor model, hypervisor program and guest kernel: a change of any of them asks
 * the question again. The program is known by its file (path, size, time), which spares running it for its version.
 *
 * @module
 */
import { createHash } from "node:crypto"
import { readFile, realpath, stat } from "node:fs/promises"
import { cpus, release } from "node:os"
import type { Accelerator } from "@skep/contract"
import { describeFileError, errnoOf, writeFileWhole } from "@skep/runtime"
import * as z from "zod"

/** An accelerator under which no guest printed a line. */
export interface Failure {
  readonly accelerator: Accelerator
  readonly reason: string
}

export interface Verdict {
  readonly proven: Accelerator
  readonly failed: readonly Failure[]
}

/** Old verdicts fall off: kernels and images come and go. */
const ENTRIES_MAX = 32

const accelerator = z.enum(["kvm", "hvf", "tcg"])
const File = z.object({
  verdicts: z.array(
    z.object({
      key: z.string(),
      proven: accelerator,
      failed: z.array(z.object({ accelerator, reason: z.string() })),
    }),
  ),
})

type Entry = z.infer<typeof File>["verdicts"][number]

/** Names this host with this hypervisor and this guest. */
export async function verdictKey(program: string, kernel: string): Promise<string> {
  const facts = [
    process.platform,
    release(),
    cpus()[0]?.model ?? "",
    await stampOf(program),
    await stampOf(kernel),
  ]
  return createHash("sha256").update(facts.join("\n")).digest("hex").slice(0, 32)
}

export async function readVerdict(file: string, key: string): Promise<Verdict | undefined> {
  return (await readEntries(file)).find((entry) => entry.key === key)
}

/** Remembers `verdict`, or forgets what was remembered when it is undefined. */
export async function writeVerdict(file: string, key: string, verdict: Verdict | undefined): Promise<void> {
  const others = (await readEntries(file)).filter((entry) => entry.key !== key)
  const verdicts = verdict === undefined ? others : [{ key, ...verdict }, ...others]
  await writeFileWhole(file, `${JSON.stringify({ verdicts: verdicts.slice(0, ENTRIES_MAX) }, null, 2)}\n`)
}

/** A file that is missing or damaged remembers nothing: the next start finds out again. */
async function readEntries(file: string): Promise<readonly Entry[]> {
  try {
    const parsed = File.safeParse(JSON.parse(await readFile(file, "utf8")))
    return parsed.success ? parsed.data.verdicts : []
  } catch (error) {
    if (error instanceof SyntaxError || errnoOf(error) === "ENOENT") return []
    throw describeFileError("read", file, error)
  }
}

async function stampOf(path: string): Promise<string> {
  const real = await realpath(path)
  const { size, mtimeMs } = await stat(real)
  return `${real} ${size} ${mtimeMs}`
}
