/**
 * The share manager: the sidecar, and its parts. See `client.ts` for the lighter entry.
 *
 * @module
 */
export {
  type AdoptShares,
  adoptShares,
  controlSocketOf,
  type GuestWay,
  type NfsPlace,
  parseSharesOptions,
  parseSkepSharesStatus,
  type RemoteShares,
  type SharesCommand,
  type SharesOptions,
  type SkepShares,
  type SkepSharesStatus,
  sharesProcess,
} from "./client.ts"
export { type Choice, type GuestPart, GuestSide, type Mount, type OpenGuestPart } from "./guest-side.ts"
export { shares } from "./shares.ts"
export { type VirtiofsDevice, type VirtiofsOptions, virtiofsDevice } from "./virtiofs/index.ts"
