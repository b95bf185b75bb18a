/**
 * Flags of files beside their modes: chattr(1) of Linux, chflags(1) of macOS. Node has no way to them, the programs of the system do.
 *
 * @module
 */
import { execFileSync } from "node:child_process"
import { SidecarError } from "@skep/contract"

const PROGRAM_MS = 10_000
const PATHS = "/usr/sbin:/sbin:/usr/bin:/bin"
/** Those that a user may set and that mean something for a file of text: no dump, no access times, synchronous, not copied on write and so on. */
const KEPT = /[AcCdjsSu]/g

/** Flags that a successor of the file should have, as the program of the system takes them. Throws "permission-denied" for a file that may not be replaced. */
export function readFlags(path: string): string {
  return process.platform === "darwin" ? macosFlags(path) : linuxFlags(path)
}

/** Gives a file the flags of another one. */
export function copyFlags(from: string, to: string): void {
  const flags = readFlags(from)
  if (flags === "") return
  if (process.platform === "darwin") run("chflags", [flags, to])
  else run("chattr", [`+${flags}`, "--", to])
}

function linuxFlags(path: string): string {
  // A file system without flags says so, and so does a host without the program.
  const letters = run("lsattr", ["-d", "--", path])?.split(" ")[0] ?? ""
  if (letters.includes("i")) throw fixed(path, "immutable", `chattr -i ${path}`)
  if (letters.includes("a")) throw fixed(path, "append-only", `chattr -a ${path}`)
  return [...letters.matchAll(KEPT)].join("")
}

function macosFlags(path: string): string {
  const words = (run("stat", ["-f", "%Sf", path]) ?? "").trim()
  const flags = words === "-" || words === "" ? [] : words.split(",")
  const bad = flags.find((flag) => /^[us](chg|appnd)$/.test(flag))
  if (bad !== undefined)
    throw fixed(path, bad.endsWith("chg") ? "immutable" : "append-only", `chflags no${bad} ${path}`)
  return flags.join(",")
}

function fixed(path: string, what: string, next: string): SidecarError {
  return new SidecarError("permission-denied", `Cannot change "${path}": it is ${what}`, {
    next: `If that is not on purpose: ${next}`,
  })
}

/** What it says; undefined where it cannot be asked, or says no. */
function run(file: string, args: readonly string[]): string | undefined {
  try {
    return execFileSync(file, [...args], {
      encoding: "utf8",
      timeout: PROGRAM_MS,
      env: { PATH: PATHS, LC_ALL: "C" },
      stdio: ["ignore", "pipe", "ignore"],
    })
  } catch {
    return undefined
  }
}
