/**
 * `skep-gvproxy`: the adapter as a program.
 *
 * @module
 */
import { networkRoutes, serve } from "@skep/runtime"
import { gvproxy } from "./gvproxy.ts"

await serve(gvproxy, {
  version: "0.1.0",
  description: "gvproxy as the network of one virtual machine, with forwards that come and go",
  flags: [
    { flags: "--socket <path>", description: "where QEMU's -netdev stream connects", key: "socket" },
    { flags: "--mtu <bytes>", description: "the largest packet (65520)", key: "mtu", parse: Number },
    { flags: "--program <path>", description: "gvproxy itself", key: "program" },
    {
      flags: "--lonely <ms>",
      description: "end when no machine has been there for so long",
      key: "lonelyMs",
      parse: Number,
    },
  ],
  examples: [
    "skep-gvproxy --socket /tmp/vm/net.sock --control /tmp/vm/net.sock.control",
    "qemu-system-x86_64 … -netdev stream,id=n,server=off,addr.type=unix,addr.path=/tmp/vm/net.sock -device virtio-net-pci,netdev=n,mac=5a:94:ef:e4:0c:ee",
    `curl --unix-socket /tmp/vm/net.sock.control http://x/forwards -d '{"transport":"tcp","hostAddress":"127.0.0.1","hostPort":8080,"guestPort":80}'`,
  ],
  routes: networkRoutes,
})
