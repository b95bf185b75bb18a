/**
 * `skep-vhost-vsock`: the adapter as a program.
 *
 * @module
 */
import { serve } from "@skep/runtime"
import { flags } from "./flags.ts"
import { vhostVsock } from "./vhost-vsock.ts"

await serve(vhostVsock, {
  version: "0.1.0",
  description: "The kernel's own vsock of a virtual machine, on Unix sockets of the host",
  flags,
  examples: [
    "skep-vhost-vsock --guest-cid 3 --directory /tmp/vm/vsock --uds-path /tmp/vm/v.sock --service 7000",
    "qemu-system-x86_64 … -device vhost-vsock-device,guest-cid=3",
    "(echo 00000003.00001388; cat) | socat - UNIX:/tmp/vm/vsock/connect   # port 5000 of the guest",
  ],
})
