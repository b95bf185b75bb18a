/**
 * One word for a POSIX shell, and for fish and tcsh.
 *
 * @module
 */

const PLAIN = /^[A-Za-z0-9_@%+=:,./-]+$/

/** In single quotes, whatever it holds. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`
}

/** As it is where no shell would change it, quoted otherwise. */
export function quoteIfNeeded(word: string): string {
  return PLAIN.test(word) ? word : quote(word)
}
