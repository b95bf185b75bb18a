/**
 * A fake QEMU for vhost-user back ends: the guest's memory, the driver's rings, the front end of the protocol.
 *
 * @module
 */
export { type Buffer, DriverRing, type DriverRingOptions, type Used } from "./driver-ring.ts"
export { FrontEnd, type FrontEndOptions, type SendOptions } from "./front-end.ts"
export { GuestRam, type GuestRamOptions, type RamRegion } from "./guest-ram.ts"
export { firstWord, memoryTable, message, type Region, ring, words } from "./message.ts"
export { fuzzing, type Random, seeded } from "./random.ts"
