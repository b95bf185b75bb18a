/**
 * How much of what a client may ask for at once.
 *
 * @module
 */

/** The data of one READ or WRITE: what the kernel's client takes at most. */
export const TRANSFER_MAX: number = 1024 * 1024
/** One READDIR or READDIRPLUS: a client that asks for more gets this much, so that nobody waits long for its end. */
export const DIRECTORY_MAX: number = 128 * 1024
/** Names in arguments. Longer ones than a file system takes have its answer (NAMETOOLONG), beyond this one they are garbage. */
export const NAME_ARGUMENT_MAX = 4096
/** The target of a symbolic link: PATH_MAX. */
export const PATH_MAX = 4096
/** A whole call: the data of a WRITE and what is before it. */
export const RECORD_MAX: number = TRANSFER_MAX + 8192
