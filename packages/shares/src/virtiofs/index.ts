/**
 * The virtiofs device: FUSE over vhost-user.
 *
 * @module
 */
export { type VirtiofsDevice, type VirtiofsOptions, virtiofsDevice } from "./device.ts"
export { StateFile, type StateFileOptions } from "./state-file.ts"
