/**
 * An NFS server of its own, for the programs of others: `nfs-program.ts PORT`, with files in memory under `/` and, to be read only, under `/read-only`.
 *
 * @module
 */
import { Loop } from "@skep/loop"
import { NfsServer } from "@skep/nfs"
import { memoryFileSystem } from "@skep/vfs"

const GIB = 2 ** 30

const [, , port = "0"] = process.argv
const loop = new Loop()
const fileSystem = memoryFileSystem({ capacityBytes: 2 * GIB })
const server = new NfsServer({
  scope: loop.root,
  exports: { "/": { fileSystem }, "/read-only": { fileSystem, readOnly: true } },
  listen: [{ host: "127.0.0.1", port: Number(port) }],
})
process.stdout.write(`${JSON.stringify({ port: server.port })}\n`)
loop.run()
