/**
 * `skep-passt`: the adapter as a program.
 *
 * @module
 */
import { networkRoutes, serve } from "@skep/runtime"
import { passt } from "./passt.ts"

await serve(passt, {
  version: "0.1.0",
  description: "passt as the network of one virtual machine, with forwards that come and go",
  flags: [
    { flags: "--socket <path>", description: "where QEMU's -netdev stream connects", key: "socket" },
    { flags: "--policy <policy>", description: "what the guest reaches: open, or loopback", key: "policy" },
    { flags: "--address <address>", description: "the guest's IPv4 address (192.168.64.2)", key: "address" },
    { flags: "--prefix <bits>", description: "of its network (24)", key: "prefix", parse: Number },
    {
      flags: "--gateway <address>",
      description: "leads to the host's loopback (192.168.64.1)",
      key: "gateway",
    },
    { flags: "--mac <address>", description: "the guest's MAC address", key: "mac" },
    { flags: "--mtu <bytes>", description: "the largest packet (65520)", key: "mtu", parse: Number },
    { flags: "--program <path>", description: "passt itself", key: "program" },
    {
      flags: "--lonely <ms>",
      description: "end when no machine has been there for so long",
      key: "lonelyMs",
      parse: Number,
    },
  ],
  examples: [
    "skep-passt --socket /tmp/vm/net.sock --policy loopback --control /tmp/vm/net.sock.control",
    "qemu-system-x86_64 … -netdev stream,id=n,server=off,addr.type=unix,addr.path=/tmp/vm/net.sock -device virtio-net-pci,netdev=n",
    `curl --unix-socket /tmp/vm/net.sock.control http://x/forwards -d '{"transport":"tcp","hostAddress":"127.0.0.1","hostPort":8080,"guestPort":80}'`,
  ],
  routes: networkRoutes,
})
