/**
 * Mounts a directory, uses it, unmounts it, and prints what happened as one line of JSON: for users that a test itself is not.
 *
 *     mount-once.ts DIRECTORY [bare]     bare: by a server of ours, as OpenSSH's wants its user to have a name
 *
 * @module
 */
import * as fs from "node:fs/promises"
import { join } from "node:path"
import { SidecarError } from "@skep/contract"
import { silentLog } from "@skep/runtime"
import type { SFTPWrapper } from "ssh2"
import { mountRemote } from "../src/mount.ts"
import { mountOn } from "../src/mount-table.ts"
import { startServer } from "./server.ts"

const [directory = "", kind] = process.argv.slice(2)

/** All there is of a directory until it is mounted. */
function onlyStat(sftp: SFTPWrapper): void {
  sftp.on("STAT", (id) => sftp.attrs(id, { mode: 0o40755, uid: 0, gid: 0, size: 0, atime: 0, mtime: 0 }))
}

async function use(): Promise<object> {
  await using server = await startServer(kind === "bare" ? onlyStat : undefined)
  await using mount = await mountRemote(
    {
      machine: "test",
      path: server.directory,
      directory,
      linkBase: server.directory,
      readOnly: false,
      cacheMs: 0,
      deadlineMs: 5000,
    },
    { connect: server.connect, isGone: () => false },
    { signal: new AbortController().signal, log: silentLog, emit: () => undefined },
  )
  await fs.writeFile(join(directory, "file"), "written below")
  const there = await fs.readFile(join(server.directory, "file"), "utf8")
  const { uid } = await fs.stat(join(directory, "file"))
  const entry = await mountOn(directory)
  await mount.unmount(false)
  return { uid, there, source: entry?.source, after: (await mountOn(directory)) ?? null }
}

try {
  process.stdout.write(`${JSON.stringify(await use())}\n`)
} catch (error) {
  process.stdout.write(`${JSON.stringify(SidecarError.of(error).toJSON())}\n`)
}
// libfuse's threads do not end with the mount.
process.exit(0)
