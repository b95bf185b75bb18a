/**
 * Makes, renames, links, removes and forgets until it is killed. Says what it was given: nodes with their inodes, and files that it keeps open.
 *
 * @module
 */
import { writeSync } from "node:fs"
import { addressOf } from "@skep/loop/sys"
import { type Attributes, newAttributes, openPassthrough } from "../../../src/index.ts"

const [, , path = "", journal = ""] = process.argv
const fs = openPassthrough({ path, journal, maxNodes: 65_536, maxDescriptors: 64, idleNodes: 10 })
const caller = { uid: 0, gid: 0, pid: 0 }
const into: Attributes = newAttributes()
const say = (line: string): void => void writeSync(1, `${line}\n`)
const name = (text: string): Uint8Array => Buffer.from(text)

function sure(result: number): number {
  if (result < 0) throw new Error(`failed: ${result}`)
  return result
}

const kept = sure(fs.makeDirectory(fs.root, name("kept"), 0o755, caller, into))
const work = sure(fs.makeDirectory(fs.root, name("work"), 0o755, caller, into))
const nodes: number[] = []
for (let step = 0; ; step++) {
  const directory = sure(fs.makeDirectory(work, name(`d${step}`), 0o755, caller, into))
  say(`node ${directory} ${into.inoLow}`)
  for (let index = 0; index < 20; index++) {
    const how = { flags: 2, mode: 0o644, opened: -1 }
    const node = sure(fs.create(directory, name(`file-${index}`), how, caller, into))
    say(`node ${node} ${into.inoLow}`)
    fs.release(how.opened)
    nodes.push(node)
    const from = { parent: directory, name: name(`file-${index}`) }
    const to = {
      parent: index % 2 === 0 ? directory : work,
      name: name(`renamed-${step}-${index}-${"x".repeat(index)}`),
    }
    sure(fs.rename(from, to, 0, caller))
    if (index % 3 === 0) sure(fs.link(node, directory, name(`link-${index}`), caller, into))
    if (index % 5 === 0) sure(fs.unlink(to.parent, to.name, caller))
    if (index % 4 === 0) fs.forget(nodes.shift() ?? 0, 1)
  }
  if (step % 5 === 0) {
    const how = { flags: 2, mode: 0o644, opened: -1 }
    const node = sure(fs.create(kept, name(`old-${step}`), how, caller, into))
    const text = `content-${step}`
    const buffer = Buffer.from(text)
    writeContent(how.opened, buffer)
    const from = { parent: kept, name: name(`old-${step}`) }
    sure(fs.rename(from, { parent: kept, name: name(`new-${step}`) }, 0, caller))
    say(`keep ${node} ${how.opened} ${text}`)
  }
  say(`step ${step}`)
}

function writeContent(handle: number, content: Buffer): void {
  const memory = new ArrayBuffer(content.length)
  new Uint8Array(memory).set(content)
  const iovec = new BigUint64Array(2)
  iovec[0] = BigInt(addressOf(memory))
  iovec[1] = BigInt(content.length)
  const pieces = { address: addressOf(iovec.buffer), count: 1, bytes: content.length }
  fs.write(handle, 0, pieces, (result) => sure(result))
}
