/**
 * Reads chosen files out of Debian packages.
 *
 * `dpkg-deb --fsys-tarfile` unpacks the package's data to a tar stream, which is read here: nothing but what the
 * recipe picks touches the disk, and owners and modes do not depend on who builds.
 *
 * @module
 */
import type { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import * as tar from "tar-stream"
import type { Entry } from "./tree.ts"

/** Reads the entries of a package's tar stream whose merged path passes `wanted`; directories are not among them. */
export async function read(
  stream: Readable,
  wanted: (path: string) => boolean,
  signal: AbortSignal,
): Promise<readonly Entry[]> {
  const entries: Entry[] = []
  const extract = tar.extract()
  extract.on("entry", (header, body, next) => {
    const path = mergedPath(header.name)
    const chunks: Buffer[] = []
    const keep = header.type !== "directory" && wanted(path)
    body.on("data", (chunk: unknown) => {
      if (keep && chunk instanceof Uint8Array) chunks.push(Buffer.from(chunk))
    })
    body.on("error", () => undefined) // the pipeline tells
    body.on("end", () => {
      if (keep) entries.push(entryOf(header, path, Buffer.concat(chunks)))
      next()
    })
  })
  await pipeline(stream, extract, { signal })
  return entries
}

function entryOf(header: tar.Header, path: string, data: Buffer): Entry {
  if (header.type === "symlink") return { type: "symlink", path: path.slice(1), target: header.linkname }
  return { type: "file", path: path.slice(1), mode: header.mode & 0o7777, data }
}

/** Debian 12 installs `/bin` and its like into `/usr`; packages of that release still name both. */
function mergedPath(name: string): string {
  const path = `/${name.replace(/^\.?\//, "").replace(/\/$/, "")}`
  return path.replace(/^\/(bin|sbin|lib|lib64)\//, "/usr/$1/")
}
