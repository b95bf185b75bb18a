/**
 * Numbers as the guest writes them, strictly: digits, and where it is allowed one point. Nothing else is a number.
 *
 * @module
 */

const WHOLE = /^\d{1,15}$/
const DECIMAL = /^\d{1,12}(?:\.\d{1,9})?$/

/** A number without sign or fraction, below 10^15; undefined if it is none. */
export function whole(word: string | undefined): number | undefined {
  return word !== undefined && WHOLE.test(word) ? Number(word) : undefined
}

/** A number without sign, below 10^12, with up to nine places after the point; undefined if it is none. */
export function decimal(word: string | undefined): number | undefined {
  return word !== undefined && DECIMAL.test(word) ? Number(word) : undefined
}
