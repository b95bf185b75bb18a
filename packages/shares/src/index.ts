/**
 * The share manager.
 *
 * @module
 */
export { type VirtiofsDevice, type VirtiofsOptions, virtiofsDevice } from "./virtiofs/index.ts"
