/**
 * A program that rewrites one file: for a test that kills it at each of its system calls.
 *
 * @module
 */
import { nodeDisk } from "../../src/file/disk.ts"
import { rewrite } from "../../src/file/rewrite.ts"

const [path = "", content = "", now = ""] = process.argv.slice(2)

rewrite(path, () => new TextEncoder().encode(content), { disk: nodeDisk, now: Number(now) })
