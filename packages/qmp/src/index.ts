/**
 * A client of the QEMU Machine Protocol.
 *
 * @module
 */
export { type ConnectQmpOptions, connectQmp, type Qmp } from "./connection.ts"
export type { QmpEvent } from "./message.ts"
export { monitor } from "./monitor.ts"
