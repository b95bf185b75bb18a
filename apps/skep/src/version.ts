/**
 * The version of this build. A build adds the hash of its own files, so that a command finds a backend of another build.
 *
 * @module
 */

declare const SKEP_BUILD: string | undefined

const RELEASE = "0.1.0"

/** `0.1.0+abcdef012345` in a build, `0.1.0+source` from source. */
export const VERSION: string = `${RELEASE}+${typeof SKEP_BUILD === "string" ? SKEP_BUILD : "source"}`
