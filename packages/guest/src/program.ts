/**
 * Runs the host's programs that the build needs, and turns what can go wrong with them into our errors.
 *
 * @module
 */
import type { Readable } from "node:stream"
import { SidecarError } from "@skep/contract"
import { errnoOf } from "@skep/runtime/files"
import { ExecaError, execa } from "execa"

/** A program of the host and the Debian package it comes in. */
export interface HostProgram {
  readonly program: string
  readonly debianPackage: string
}

export interface RunOptions {
  readonly signal: AbortSignal
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
}

const PROGRAMS: readonly HostProgram[] = [
  { program: "apt-get", debianPackage: "apt" },
  { program: "apt-cache", debianPackage: "apt" },
  { program: "apt-config", debianPackage: "apt" },
  { program: "dpkg-deb", debianPackage: "dpkg" },
  { program: "mkfs.erofs", debianPackage: "erofs-utils" },
]
const LAST_LINES = 12

/** Returns the programs that building an image needs on the host. */
export function hostPrograms(): readonly HostProgram[] {
  return PROGRAMS
}

/** Throws "host-program-missing", with the Debian package to install, unless all programs can be started. */
export async function check(options: RunOptions): Promise<void> {
  const missing: HostProgram[] = []
  for (const each of PROGRAMS) {
    const flag = each.program === "mkfs.erofs" ? "-V" : "--version"
    const result = await start(each.program, [flag], options)
    if (result.missing) missing.push(each)
  }
  if (missing.length > 0) throw missingError(missing)
}

/** Runs a program to its end and returns what it wrote to its standard output. */
export async function run(program: string, args: readonly string[], options: RunOptions): Promise<string> {
  const result = await start(program, args, options)
  if (result.error === undefined) return result.stdout
  throw failure(program, result.error, options.signal)
}

/** Starts a program whose standard output is a stream of bytes; `done` settles when the program has ended. */
export function open(
  program: string,
  args: readonly string[],
  options: RunOptions,
): { readonly stdout: Readable; readonly done: Promise<void> } {
  const child = execa(program, args, { ...shared(options), buffer: { stdout: false, stderr: true } })
  const done = child.then(
    () => undefined,
    (error: unknown) => {
      throw failure(program, error, options.signal)
    },
  )
  // A reader that fails first reports why; this promise must not count as unhandled then.
  done.catch(() => undefined)
  return { stdout: child.stdout, done }
}

interface Outcome {
  readonly stdout: string
  readonly missing: boolean
  readonly error?: unknown
}

async function start(program: string, args: readonly string[], options: RunOptions): Promise<Outcome> {
  try {
    const { stdout } = await execa(program, args, shared(options))
    return { stdout, missing: false }
  } catch (error) {
    options.signal.throwIfAborted()
    return { stdout: "", missing: errnoOf(error) === "ENOENT", error }
  }
}

function shared(options: RunOptions): {
  stdin: "ignore"
  cancelSignal: AbortSignal
  cwd?: string
  env: Record<string, string>
} {
  return {
    stdin: "ignore",
    cancelSignal: options.signal,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { LC_ALL: "C.UTF-8", ...options.env },
  }
}

function failure(program: string, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason
  if (errnoOf(error) === "ENOENT") return missingError(PROGRAMS.filter((each) => each.program === program))
  const text = error instanceof ExecaError && typeof error.stderr === "string" ? error.stderr : ""
  const detail = text.trim().split("\n").slice(-LAST_LINES)
  if (/No space left on device|ENOSPC/i.test(text)) {
    return new SidecarError("disk-full", `Cannot build the guest image: the disk is full, says ${program}`, {
      cause: error,
      detail,
    })
  }
  const reason = detail.findLast((line) => line !== "") ?? "it ended with an error"
  return new SidecarError("image-build-failed", `Cannot build the guest image: ${program}: ${reason}`, {
    cause: error,
    detail,
  })
}

function missingError(missing: readonly HostProgram[]): SidecarError {
  const names = missing.map((each) => each.program).join(", ")
  const packages = [...new Set(missing.map((each) => each.debianPackage))].join(" ")
  return new SidecarError(
    "host-program-missing",
    `Cannot build the guest image: ${names} not found on this host`,
    {
      next: `Install it with: apt-get install ${packages}`,
    },
  )
}
