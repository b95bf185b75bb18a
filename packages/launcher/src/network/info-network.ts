/**
 * What QEMU's monitor tells of a stream: there is no QMP command for it.
 *
 * A row of `info network` (QEMU 7.2, net/net.c), alone or after the port of a hub that it is joined to:
 *
 *     net0-stream: index=0,type=stream,unix:/run/net.sock      connected
 *     net0-stream: index=0,type=stream,connection error        nobody listened
 *     net0-stream: index=0,type=stream,                        being connected; or lost since
 *
 * @module
 */

export type StreamState =
  | "up"
  /** Nobody listened. */
  | "refused"
  | "connecting"
  /** There is no such stream. */
  | "absent"

/** Finds the stream `id` in the output of `info network`. */
export function parseStream(text: string, id: string): StreamState {
  const mark = `${id}: index=`
  const row = text.split("\n").find((line) => line.includes(mark))
  if (row === undefined) return "absent"
  const told = row.slice(row.indexOf(mark)).trim().split(",").slice(2).join(",")
  if (told === "") return "connecting"
  return told.startsWith("unix:") ? "up" : "refused"
}
