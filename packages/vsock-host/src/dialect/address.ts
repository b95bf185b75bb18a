/**
 * What addresses of vsock are: Linux's include/uapi/linux/vm_sockets.h, the same in Virtual I/O Device 1.2, section 5.10.4.
 *
 * @module
 */

/** The host's own address. */
export const CID_HOST = 2
/** The largest address a guest may have: the one above it is VMADDR_CID_ANY. */
export const CID_MAX = 0xffff_fffe
/** The largest port: the one above it is VMADDR_PORT_ANY. */
export const PORT_MAX = 0xffff_fffe
