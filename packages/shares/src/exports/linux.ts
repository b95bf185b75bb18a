/**
 * exports(5) of Linux (nfs-utils): `path client(options) …`. Ours are files of their own, `/etc/exports.d/skep-NAME.exports`.
 *
 * @module
 */
import { createHash } from "node:crypto"
import { type Client, parseClient } from "./clients.ts"
import type { Entry } from "./entry.ts"
import { fromFile, logicalLines, toFile } from "./lines.ts"
import { ownersOf } from "./macos.ts"

export interface LinuxLine {
  readonly path: string
  readonly readOnly: boolean
  readonly uid: number
  readonly gid: number
  readonly client: string
}

/** `"/a\040b" 192.168.64.0/24(rw,…)`, in the characters of the file. */
export function emitLine({ path, readOnly, uid, gid, client }: LinuxLine): string {
  const options = [
    readOnly ? "ro" : "rw",
    "sync",
    "no_subtree_check",
    // A guest's mount may come from any port.
    "insecure",
    "all_squash",
    `anonuid=${uid}`,
    `anongid=${gid}`,
    // Not every file system has an identity of its own (overlay, tmpfs), and handles have to outlive a restart.
    `fsid=${fsidOf(path)}`,
  ]
  return `${escape(toFile(path))} ${client}(${options.join(",")})`
}

/** 128 bits in the form of a UUID, of the path: two exports of one path are one file system. */
export function fsidOf(path: string): string {
  const hex = createHash("sha256").update("skep export\0").update(path).digest("hex")
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    "-",
  )
}

/** Whatever is not plain is octal: blanks, quotes, backslashes, `#`, what is no ASCII. */
function escape(path: string): string {
  return path.replace(
    // oxlint-disable-next-line no-control-regex -- all of them are meant
    /[^\x21\x24-\x5b\x5d-\x7e]/g,
    (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`,
  )
}

/** Every entry of the file that can be understood; nothing is refused. */
export function entriesIn(file: string): readonly Entry[] {
  const owners = ownersOf(file)
  return logicalLines(file).flatMap(({ number, text }) => {
    const [path, ...words] = wordsOf(text)
    if (path === undefined || !path.startsWith("/")) return []
    const named: Client[] = []
    let readOnly = true // what exports(5) has where nothing is said
    for (const word of words) {
      const open = word.indexOf("(")
      const options = word.startsWith("-") ? word.slice(1) : open < 0 ? "" : word.slice(open + 1, -1)
      if (options.split(",").includes("rw")) readOnly = false
      if (!word.startsWith("-")) named.push(parseClient(open < 0 ? word : word.slice(0, open)))
    }
    const clients: readonly Client[] = named.length === 0 ? ["everyone"] : named
    return [
      { line: number, paths: [fromFile(path)], clients, readOnly, owner: owners.get(number) ?? "somebody" },
    ]
  })
}

/** Words between blanks; quotes hold blanks; `\040` is a byte; `#` at the beginning of a word begins a comment. */
function wordsOf(text: string): readonly string[] {
  const words: string[] = []
  for (const match of text.matchAll(/(?:"[^"]*"?|[^\s"])+/g)) {
    if (match[0].startsWith("#")) break
    const word = match[0].replaceAll('"', "")
    words.push(
      word.replace(/\\([0-3][0-7]{2})/g, (_, digits: string) =>
        String.fromCharCode(Number.parseInt(digits, 8)),
      ),
    )
  }
  return words
}
