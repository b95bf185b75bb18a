/**
 * What this host offers, for a doctor and for clear errors.
 *
 * @module
 */
import { execFile } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { promisify } from "node:util"
import { errnoOf } from "@skep/runtime"
import { readVerdict, type Verdict, verdictKey } from "./accelerator/verdict.ts"
import { missingProgram } from "./machine/process.ts"

const run = promisify(execFile)
const VERSION_DEADLINE_MS = 5000

export interface HostProgram {
  readonly program: string
  readonly debianPackage: string
}

/** The programs of the host that a launcher runs. */
export function hostPrograms(): readonly HostProgram[] {
  return [{ program: "qemu-system-x86_64", debianPackage: "qemu-system-x86" }]
}

/** What /dev/kvm does when it is opened. That it opens proves nothing: see the verdict. */
export type KvmAccess = "opens" | "denied" | "missing"

export interface HostDescription {
  readonly program: string
  /** Undefined when the program is missing. */
  readonly path: string | undefined
  /** Such as "7.2.22". */
  readonly version: string | undefined
  readonly kvm: KvmAccess
  /** What earlier starts of this guest kernel found out. */
  readonly verdict: Verdict | undefined
}

export interface HostQuestion {
  readonly program?: string
  readonly verdictFile?: string
  /** The guest's kernel that the verdict is about. */
  readonly kernel?: string
}

/** Looks, starts no machine. */
export async function describeHost(question: HostQuestion = {}): Promise<HostDescription> {
  const program = question.program ?? "qemu-system-x86_64"
  const path = await searchProgram(program)
  return {
    program,
    path,
    version: path === undefined ? undefined : await versionOf(path),
    kvm: kvmAccess(),
    verdict: path === undefined ? undefined : await verdictOf(path, question),
  }
}

/** The path of a program. Throws "host-program-missing". */
export async function findProgram(program: string): Promise<string> {
  const path = await searchProgram(program)
  if (path === undefined) throw missingProgram(program)
  return path
}

export function kvmAccess(): KvmAccess {
  try {
    closeSync(openSync("/dev/kvm", "r+"))
    return "opens"
  } catch (error) {
    const code = errnoOf(error)
    return code === "EACCES" || code === "EPERM" ? "denied" : "missing"
  }
}

/** The shell knows PATH, and which of its files may be run. */
async function searchProgram(program: string): Promise<string | undefined> {
  try {
    const { stdout } = await run("/bin/sh", ["-c", 'command -v -- "$1"', "sh", program])
    return stdout.trim()
  } catch {
    return undefined
  }
}

async function versionOf(path: string): Promise<string | undefined> {
  try {
    const { stdout } = await run(path, ["--version"], { timeout: VERSION_DEADLINE_MS })
    return /version (\S+)/.exec(stdout)?.[1]
  } catch {
    return undefined // a program that does not say its version is still there
  }
}

async function verdictOf(path: string, { verdictFile, kernel }: HostQuestion): Promise<Verdict | undefined> {
  if (verdictFile === undefined || kernel === undefined) return undefined
  try {
    return await readVerdict(verdictFile, await verdictKey(path, kernel))
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined // no such kernel: nothing is known of it
    throw error
  }
}
