// What Node has of its own: messages between threads, and asynchronous reads of an eventfd.
import { read, writeSync } from "node:fs"
import { parentPort } from "node:worker_threads"

const one = new BigUint64Array([1n])

parentPort.on("message", (message) => {
  if (message.from === undefined) parentPort.postMessage(message)
  else pong(message)
})

function pong({ from, to }) {
  const count = Buffer.alloc(8)
  read(from, count, (error) => {
    if (error) throw error
    // A read that waits would keep the thread for ever: more than one ring says that this was the last.
    if (count.readBigUInt64LE() > 1n) return
    writeSync(to, one)
    pong({ from, to })
  })
  parentPort.postMessage({})
}
