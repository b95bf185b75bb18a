/**
 * FUSE messages and sessions over a file system.
 *
 * @module
 */
export {}
