/**
 * A plain Node stream over an ssh2 channel.
 *
 * ssh2's own Channel does not emit `close` when its connection dies with unread data, reports a lost connection as an
 * orderly end, forgets the callback of a write after the other side closed, and cannot be destroyed with an error. This
 * stream has none of that:
 *
 *   ours                          the channel
 *   end()                    ->   EOF, and we read on
 *   'end'                    <-   EOF, and we may write on
 *   destroy()                ->   CLOSE
 *   'end', 'close'           <-   CLOSE: what was sent is read to its end, what we write after it is dropped, as nobody is
 *                                 there to read it (an engine that answers early and hangs up must be heard)
 *   'error', 'close'         <-   the connection is lost (`lose`)
 *
 * @module
 */
import { Duplex } from "node:stream"
import type { ClientChannel } from "ssh2"

/** How many bytes lie in the stream before it asks the channel to stop. ssh2's window of 2 MiB is the bound behind it. */
const HIGH_WATER_MARK = 1 << 16

export interface SshStream {
  readonly stream: Duplex
  /** Ends the stream with `error`: the connection under it is gone. */
  readonly lose: (error: Error) => void
}

/** Owns `channel` from now on. */
export function streamOver(channel: ClientChannel): SshStream {
  let gone = false
  let ended = false
  let unanswered: ((error?: Error | null) => void) | undefined

  const answer = (error?: Error | null): void => {
    const callback = unanswered
    unanswered = undefined
    callback?.(error)
  }
  const send = (bytes: Buffer, callback: (error?: Error | null) => void): void => {
    if (gone || channel.writableEnded) return callback()
    unanswered = callback
    channel.write(bytes, () => answer())
  }
  const stream = new Duplex({
    allowHalfOpen: true,
    readableHighWaterMark: HIGH_WATER_MARK,
    writableHighWaterMark: HIGH_WATER_MARK,
    read: () => void channel.resume(),
    write: (chunk: Buffer, _encoding, callback) => send(chunk, callback),
    // A head and its body in one SSH packet, where they come together.
    writev: (chunks, callback) => send(Buffer.concat(chunks.map(({ chunk }) => bytesOf(chunk))), callback),
    final: (callback) => {
      if (!gone) channel.end()
      callback()
    },
    destroy: (error, callback) => {
      if (!gone) channel.close()
      channel.resume() // what is still on its way must not hold up the connection
      unanswered = undefined
      callback(error)
    },
  })
  const end = (): void => {
    if (ended || stream.destroyed) return
    ended = true
    stream.push(null)
  }

  channel.on("data", (chunk: Buffer) => {
    if (!stream.destroyed && !stream.push(chunk)) channel.pause()
  })
  channel.on("end", end)
  channel.on("error", (error: Error) => void stream.destroy(error))
  channel.on("close", () => {
    gone = true
    end()
    answer()
    // Nothing can follow in either direction: let go as soon as what came was read.
    if (stream.readableEnded) stream.destroy()
    else stream.once("end", () => stream.destroy())
  })
  return {
    stream,
    lose: (error) => {
      gone = true
      stream.destroy(error)
    },
  }
}

function bytesOf(chunk: unknown): Buffer {
  return Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk))
}
