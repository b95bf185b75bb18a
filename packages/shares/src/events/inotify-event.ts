/**
 * struct inotify_event, inotify(7), in the byte order of the machine, which is little on all that we run on:
 *
 * ```
 *  0: i32 watch   4: u32 mask   8: u32 cookie   12: u32 length   16: name, filled up with NULs to the length
 * ```
 *
 * @module
 */

const MASK = 4
const COOKIE = 8
const LENGTH = 12
const HEADER = 16
const NAME_MAX = 255
/** What a read has to have room for. */
export const EVENT_MAX: number = HEADER + NAME_MAX + 1

/** Reused from event to event; `name` is a view, empty where the event is of the directory itself. */
export interface InotifyEvent {
  watch: number
  mask: number
  cookie: number
  name: Uint8Array
}

/** Reads the events of `bytes` in turn. What is cut off at the end is not an event; the kernel never does that. */
export function parseEvents(bytes: Uint8Array, visit: (event: InotifyEvent) => void): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const event: InotifyEvent = { watch: 0, mask: 0, cookie: 0, name: bytes }
  let at = 0
  while (at + HEADER <= bytes.length) {
    const end = at + HEADER + view.getUint32(at + LENGTH, true)
    if (end > bytes.length) return
    const name = bytes.subarray(at + HEADER, end)
    const nul = name.indexOf(0)
    event.watch = view.getInt32(at, true)
    event.mask = view.getUint32(at + MASK, true)
    event.cookie = view.getUint32(at + COOKIE, true)
    event.name = nul === -1 ? name : name.subarray(0, nul)
    visit(event)
    at = end
  }
}
