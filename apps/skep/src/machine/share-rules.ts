/**
 * Which directories of the host a machine has: from what a user writes to rules that can be served, and what may stand beside what.
 *
 * A share is at the path where the user sees it, so that `docker run -v $PWD:/src` means the same inside as outside, with symbolic links on the way to it
 * followed on the host: `path` is where it really is, `target` what it is called.
 *
 * @module
 */
import { constants } from "node:fs"
import { access, realpath, stat } from "node:fs/promises"
import { homedir } from "node:os"
import { posix } from "node:path"
import {
  type ShareCache,
  type ShareOwnership,
  type ShareRule,
  SidecarError,
  type SidecarErrorOptions,
} from "@skep/contract"
import { errnoOf } from "@skep/runtime/files"
import * as z from "zod"
import { hiddenBy, isWithin } from "./guest-paths.ts"
import { Cache, Ownership } from "./schema.ts"

/** A share as somebody asks for it. What is left out has a default. */
export interface ShareWish {
  /** Absolute, or in the home directory as `~/…`. */
  readonly path: string
  /** As the path unless told. */
  readonly target?: string
  readonly readOnly?: boolean
  readonly cache?: ShareCache
  readonly ownership?: ShareOwnership
}

export const ShareWish: z.ZodType<ShareWish> = z.strictObject({
  path: z.string(),
  target: z.string().exactOptional(),
  readOnly: z.boolean().exactOptional(),
  cache: Cache.exactOptional(),
  ownership: Ownership.exactOptional(),
})

/** How many a machine may have. */
export const SHARES_MAX = 128
const KERNELS = ["/proc", "/sys", "/dev"]
/** Linux's PATH_MAX, without the NUL. */
const PATH_BYTES_MAX = 4095

/** Looks at the host. Throws with a sentence what cannot be shared: "bad-options", "not-found", "permission-denied". */
export async function ruleOf(wish: ShareWish, own: readonly string[]): Promise<ShareRule> {
  const asked = cleaned(wish.path, "share")
  const target = cleaned(wish.target ?? wish.path, "share at")
  const path = await directoryAt(asked)
  const made = KERNELS.find((directory) => isWithin(path, directory))
  if (made !== undefined) {
    throw refused(asked, `"${made}" is made up by the host's kernel`, {
      next: "The machine has its own: containers get it as it is",
    })
  }
  const home = own.find((directory) => isWithin(path, directory))
  if (home !== undefined) {
    throw refused(asked, `it is where Skep keeps its machines and their keys`, {
      next: "Share another directory",
    })
  }
  const hidden = hiddenBy(target)
  if (hidden !== undefined) {
    throw refused(
      asked,
      `the machine needs its own "${hidden}", which a share at "${target}" would hide`,
      elsewhere(asked),
    )
  }
  return {
    path,
    target,
    readOnly: wish.readOnly ?? false,
    cache: wish.cache ?? "consistent",
    ownership: wish.ownership ?? "virtual",
  }
}

/** The rules with another one, which takes the place of one with its target. Throws "bad-options" for targets in one another. */
export function withRule(rules: readonly ShareRule[], rule: ShareRule): readonly ShareRule[] {
  const others = rules.filter(({ target }) => target !== rule.target)
  const around = others.find(({ target }) => isWithin(rule.target, target))
  if (around !== undefined) {
    throw refused(
      rule.path,
      `"${rule.target}" is in the share "${around.target}", and so in the machine already`,
      {
        next: `Use it there, or share it a second time at another place: skep share add ${rule.path} --target /mnt/NAME`,
      },
    )
  }
  const inside = others.find(({ target }) => isWithin(target, rule.target))
  if (inside !== undefined) {
    throw refused(rule.path, `the share "${inside.target}" is in it`, {
      next: `Remove that first: skep share rm ${inside.target}`,
    })
  }
  if (others.length >= SHARES_MAX)
    throw refused(rule.path, `a machine has at most ${SHARES_MAX} shares`, {
      next: "Share a directory above them instead",
    })
  return [...others, rule]
}

/** The rule that somebody means by its target, or by its directory on the host. Throws "not-found" and "bad-options". */
export function ruleNamed(rules: readonly ShareRule[], named: string): ShareRule {
  const name = cleaned(named, "find the share")
  const exact = rules.find(({ target }) => target === name)
  if (exact !== undefined) return exact
  const by = rules.filter(({ path }) => path === name)
  if (by.length > 1) {
    throw new SidecarError("bad-options", `Cannot tell which share of "${name}" is meant: it has several`, {
      next: `Name its target: ${by.map(({ target }) => target).join(" or ")}`,
    })
  }
  const [only] = by
  if (only !== undefined) return only
  const around = rules.find(({ target }) => isWithin(name, target))
  const why = around === undefined ? "there is none" : `it is a part of the share "${around.target}"`
  throw new SidecarError("not-found", `Cannot find a share "${name}": ${why}`, {
    next: "See what is shared with skep share ls",
  })
}

/** Whether they are the same in all that matters to the machine. */
export function sameRule(a: ShareRule, b: ShareRule): boolean {
  return (
    a.path === b.path &&
    a.target === b.target &&
    a.readOnly === b.readOnly &&
    a.cache === b.cache &&
    a.ownership === b.ownership
  )
}

/** What is shared with a machine unless told: the home directory, writable. */
export const HOME_SHARE: ShareWish = { path: "~" }

async function directoryAt(path: string): Promise<string> {
  try {
    const real = await realpath(path)
    if (!(await stat(real)).isDirectory()) {
      throw refused(path, "it is not a directory", {
        next: `Share the directory that it is in: skep share add ${posix.dirname(path)}`,
      })
    }
    await access(real, constants.R_OK | constants.X_OK)
    return real
  } catch (error) {
    throw fileError(path, error)
  }
}

function fileError(path: string, error: unknown): unknown {
  const errno = errnoOf(error)
  if (errno === "ENOENT") {
    return new SidecarError("not-found", `Cannot share "${path}": there is no such directory`, {
      cause: error,
      next: `Make it with mkdir -p ${path}, or name another one`,
    })
  }
  if (errno === "ENOTDIR")
    return refused(path, "a part of it is not a directory", { next: "Name another one" })
  if (errno === "ELOOP")
    return refused(path, "its symbolic links lead in a circle", { next: "Name another one" })
  if (errno !== "EACCES" && errno !== "EPERM") return error
  return new SidecarError("permission-denied", `Cannot share "${path}": you may not read it`, {
    cause: error,
    next: "Look at its permissions with ls -ld, or name another one",
  })
}

function cleaned(text: string, verb: string): string {
  const path = text === "~" || text.startsWith("~/") ? homedir() + text.slice(1) : text
  if (!path.startsWith("/"))
    throw new SidecarError("bad-options", `Cannot ${verb} "${text}": it is not an absolute path`, {
      next: `Say where it is: /…${text}`,
    })
  // oxlint-disable-next-line no-control-regex -- that is what is looked for
  if (/[\0-\x1f\x7f]/.test(path) || Buffer.byteLength(path) > PATH_BYTES_MAX)
    throw new SidecarError(
      "bad-options",
      `Cannot ${verb} ${JSON.stringify(path.slice(0, 80))}: it has control characters, or is too long`,
      { next: "Name another one" },
    )
  const clean = posix.normalize(path)
  return clean.length > 1 && clean.endsWith("/") ? clean.slice(0, -1) : clean
}

function refused(path: string, reason: string, options: SidecarErrorOptions): SidecarError {
  return new SidecarError("bad-options", `Cannot share "${path}": ${reason}`, options)
}

function elsewhere(path: string): SidecarErrorOptions {
  return { next: `Put it elsewhere: skep share add ${path} --target /mnt/NAME` }
}
