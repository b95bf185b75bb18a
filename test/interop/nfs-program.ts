/**
 * An NFS server of its own, for the programs of others: `nfs-program.ts PORT DIRECTORY` serves a directory of the host as `/files` and, to be read only,
 * as `/read-only`.
 *
 * @module
 */
import { Loop } from "@skep/loop"
import { NfsServer } from "@skep/nfs"
import { openPassthrough } from "@skep/vfs"

const [, , port = "0", path = "."] = process.argv
const loop = new Loop()
const fileSystem = openPassthrough({ path })
const server = new NfsServer({
  scope: loop.root,
  exports: { "/files": { fileSystem }, "/read-only": { fileSystem, readOnly: true } },
  identity: Buffer.from("the same after a restart"),
  listen: [{ host: "127.0.0.1", port: Number(port) }],
})
process.stdout.write(`${JSON.stringify({ port: server.port })}\n`)
loop.run()
