/**
 * Whether to use the kernel's vsock, and how QEMU is told: `import … from "@skep/adapters/vhost-vsock/choice"`. Loads no sidecar.
 *
 * @module
 */
export { type Circumstances, type Preference, preferKernelVsock } from "./preference.ts"
export { probeVhostVsock, VHOST_VSOCK_DEVICE, type VhostVsock, type VhostVsockFacts } from "./probe.ts"
export { type DeviceBus, vhostVsockArguments } from "./qemu-arguments.ts"
