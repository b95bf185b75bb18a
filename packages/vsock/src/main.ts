/**
 * `skep-vsock`: the sidecar as a program.
 *
 * @module
 */
import { serve } from "@skep/runtime"
import { vsock } from "./vsock.ts"

await serve(vsock, {
  version: "0.1.0",
  description: "A vsock device for a virtual machine over vhost-user, and its bridge to Unix sockets",
  flags: [
    {
      flags: "--guest-cid <cid>",
      description: "the guest's address, above 2",
      key: "guestCid",
      parse: Number,
    },
    { flags: "--socket <path>", description: "the vhost-user socket for the hypervisor", key: "socket" },
    {
      flags: "--directory <path>",
      description: "HyperKit's sockets: connect, and CCCCCCCC.PPPPPPPP for services",
      key: "directory",
    },
    {
      flags: "--uds-path <path>",
      description: "Firecracker's socket; services are at PATH_PORT",
      key: "udsPath",
    },
    {
      flags: "--device <string>",
      description: "as xhyve, HyperKit, vfkit or Firecracker are told of their device; may be repeated",
      key: "devices",
      parse: (text: string, before: readonly string[] = []) => [...before, text],
    },
    {
      flags: "--lonely-ms <ms>",
      description: "end when no hypervisor was connected for so long; 0, as without it, is never",
      key: "lonelyMs",
      parse: Number,
    },
  ],
  examples: [
    "skep-vsock --guest-cid 3 --socket /tmp/vm/vhost.sock --directory /tmp/vm/vsock --uds-path /tmp/vm/v.sock",
    "skep-vsock --socket /tmp/vm/vhost.sock --device virtio-sock,guest_cid=3,path=/tmp/vm/vsock,guest_forwards=2376",
    "skep-vsock --guest-cid 3 --socket /tmp/vm/vhost.sock --device virtio-vsock,port=5,socketURL=/tmp/vm/a.sock,connect",
    `skep-vsock --socket /tmp/vm/vhost.sock --device '{"guest_cid": 3, "uds_path": "/tmp/vm/v.sock"}'`,
    "qemu-system-x86_64 … -object memory-backend-memfd,id=m,size=1G,share=on -machine memory-backend=m \\",
    "  -chardev socket,id=v,path=/tmp/vm/vhost.sock -device vhost-user-vsock-device,chardev=v",
    "(echo 00000003.00001388; cat) | socat - UNIX:/tmp/vm/vsock/connect   # port 5000 of the guest",
  ],
})
