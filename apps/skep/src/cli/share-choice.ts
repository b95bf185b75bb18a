/**
 * `--share PATH[:TARGET][:ro]` and its companions of `skep up`.
 *
 * @module
 */

import { existsSync, statSync } from "node:fs"
import { homedir } from "node:os"
import { isAbsolute, resolve } from "node:path"
import { InvalidArgumentError } from "commander"
import type { Changes } from "../machine/record.ts"
import type { SharesOver, SharesProvider } from "../machine/schema.ts"
import type { ShareWish } from "../machine/share-rules.ts"

export interface SharesChoice {
  readonly share?: readonly ShareWish[]
  /** Commander's: true unless `--no-home-share`. */
  readonly homeShare?: boolean
  readonly shares?: SharesProvider
  readonly shareProtocol?: SharesOver
  readonly shareXattrs?: boolean
}

/** Docker's way to write it. Each one given adds to those before. Throws commander's error, which names the option. */
export function parseShare(text: string, before: readonly ShareWish[] = []): readonly ShareWish[] {
  const words = text.split(":")
  const last = words.at(-1)
  const isMarked = words.length > 1 && (last === "ro" || last === "rw")
  const [path = "", target, ...rest] = isMarked ? words.slice(0, -1) : words
  if (path === "" || rest.length > 0 || target === "")
    throw new InvalidArgumentError("Write PATH, PATH:TARGET or PATH:TARGET:ro")
  if (target !== undefined && !isAbsolute(target))
    throw new InvalidArgumentError(`The target ${target} is not an absolute path`)
  return [
    ...before,
    {
      path: hostPath(path),
      ...(target === undefined ? {} : { target }),
      ...(isMarked ? { readOnly: last === "ro" } : {}),
    },
  ]
}

/** The same as the one argument of `skep share add`, where a path that is there is one, whatever colons it has. */
export function parseShareArgument(text: string): ShareWish {
  const path = hostPath(text)
  if (existsSync(path)) return { path }
  const [wish = { path }] = parseShare(text)
  return wish
}

export function sharesFrom(choice: SharesChoice): Changes {
  const { share, homeShare, shares, shareProtocol, shareXattrs } = choice
  return {
    ...(share === undefined ? {} : { share }),
    ...(homeShare === false ? { homeShare } : {}),
    ...(shares === undefined ? {} : { sharesProvider: shares }),
    ...(shareProtocol === undefined ? {} : { shareProtocol }),
    ...(shareXattrs === undefined ? {} : { shareXattrs }),
  }
}

/** As the user sees it from where they are: links on the way are kept, so that it has the same name in the machine. */
export function hostPath(path: string): string {
  if (path === "~" || path.startsWith("~/")) return homedir() + path.slice(1)
  // The shell's own word for where it is has the links that process.cwd() has lost.
  return resolve(logicalDirectory(process.env["PWD"]) ?? process.cwd(), path)
}

/** What $PWD says, where that is true. */
function logicalDirectory(pwd: string | undefined): string | undefined {
  if (pwd === undefined || !isAbsolute(pwd)) return undefined
  const [here, said] = [process.cwd(), pwd].map((path) => statSync(path, { throwIfNoEntry: false }))
  return here !== undefined && said !== undefined && here.ino === said.ino && here.dev === said.dev
    ? pwd
    : undefined
}
