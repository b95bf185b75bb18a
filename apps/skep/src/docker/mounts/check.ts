/**
 * What a request to Docker wants mounted, looked at before the engine sees it: a path that the machine does not have would become an empty directory.
 *
 * @module
 */
import type { IncomingMessage } from "node:http"
import { SidecarError } from "@skep/contract"
import { mountSources } from "./sources.ts"

/** A container's configuration has some kilobytes; its environment may have more. */
const BODY_BYTES_MAX = 8 << 20

/** Tells what to mount for a path of the host. Throws a SidecarError that tells the user why not. */
export type FindMount = (path: string) => Promise<string>

/** Reads a body to its end. Throws "bad-options" for one that is too long, and whatever broke the connection. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  // Without an encoding they are nothing else.
  const pieces: AsyncIterable<Buffer> = request.iterator({ destroyOnReturn: false })
  for await (const piece of pieces) {
    length += piece.length
    if (length > BODY_BYTES_MAX) {
      throw new SidecarError(
        "bad-options",
        `Cannot read what is to be made: its description is longer than ${BODY_BYTES_MAX >> 20} MiB`,
      )
    }
    chunks.push(piece)
  }
  return Buffer.concat(chunks)
}

/** The body with what the engine is to mount: the same bytes where nothing is to change, or where it is no JSON, as which the engine refuses it. */
export async function withMounts(url: string, body: Buffer, find: FindMount): Promise<Buffer> {
  const value = parsed(body)
  let isChanged = false
  for (const { path, replace } of mountSources(url, value)) {
    const found = await find(path)
    if (found === path) continue
    replace(found)
    isChanged = true
  }
  return isChanged ? Buffer.from(JSON.stringify(value)) : body
}

function parsed(body: Buffer): unknown {
  try {
    const value: unknown = JSON.parse(body.toString("utf8"))
    return value
  } catch {
    return undefined
  }
}
