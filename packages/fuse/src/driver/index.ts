/**
 * The other side of FUSE, for tests and for loads without a guest.
 *
 * @module
 */
export { type Answered, type Channel, DirectChannel, newViews, REQUEST_MAX, type Room } from "./channel.ts"
export { FuseClient, type FuseClientOptions } from "./client.ts"
