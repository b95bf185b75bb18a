/**
 * Text of unknown origin for a terminal: what a guest writes must not move the cursor, retitle the window or answer questions.
 *
 * @module
 */

/** ECMA-48: control sequences, strings such as OSC up to their end, other escapes; then every single control but tab and newline. */
const CONTROLS =
  // oxlint-disable-next-line no-control-regex -- terminal control is what this looks for
  /\u001b\[[0-?]*[ -/]*[@-~]|\u001b[\]P^_X][^\u0007\u001b]*(?:\u0007|\u001b\\)?|\u001b[ -/]*[0-~]|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g
// oxlint-disable-next-line no-control-regex -- as above
const COLOUR = /^\u001b\[[0-9;:]*m$/

/** Takes back every colour. */
export const PLAIN = "\u001b[0m"

/** Keeps tabs and newlines, and drops all other control characters and sequences, colours too. */
export function plain(text: string): string {
  return text.replace(CONTROLS, "")
}

/** Keeps colours, tabs and newlines, and drops all other control characters and sequences. */
export function printable(text: string): string {
  return text.replace(CONTROLS, (found) => (COLOUR.test(found) ? found : ""))
}
