/**
 * What the specification of file systems has and FUSE has not.
 *
 * @module
 */

const DURABLE = "the protocol has no durable handles"

export const BEHIND_FUSE: Readonly<Record<string, string>> = {
  "a durable handle leads back to its node, with one reference more": DURABLE,
  "durable handles are the same each time, and differ from file to file": DURABLE,
  "a durable handle survives a rename, into another directory too": DURABLE,
  "a durable handle of a file that is gone is ESTALE, though its name has come again": DURABLE,
  "what is no durable handle is refused with EBADF or ESTALE": DURABLE,
  "a file without a name is not found by its durable handle, though it is open: ESTALE": DURABLE,
  "a durable handle is read from any view of its bytes, part of a larger memory too": DURABLE,
  "names with a slash or NUL, and the empty one, are refused with EINVAL": "a NUL ends a name in a request",
}
