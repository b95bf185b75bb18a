/**
 * NFSv3 and MOUNT over ONC RPC and a file system.
 *
 * @module
 */
export {}
