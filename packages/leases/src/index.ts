/**
 * Lease files of DHCP servers: the formats, and one model of what they say.
 *
 * @module
 */
export { type LeaseFormat, mayRewrite, type Reservation, together } from "./format.ts"
export { FORMATS, formatNamed, formatOf } from "./formats/index.ts"
export {
  bytesOf,
  type Document,
  ETHERNET,
  type Lease,
  type LeaseState,
  macOf,
  type Network,
  type Octets,
  octetsOf,
  type Problem,
  type Source,
  shown,
} from "./model.ts"
