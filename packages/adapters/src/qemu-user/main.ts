/**
 * `skep-qemu-user`: the adapter as a program.
 *
 * @module
 */
import { networkRoutes, serve } from "@skep/runtime"
import { qemuUser } from "./qemu-user.ts"

await serve(qemuUser, {
  version: "0.1.0",
  description: "Port forwards of QEMU's user network, added and removed on a running machine",
  flags: [
    { flags: "--qmp <socket>", description: "a QMP socket of the machine that nobody else uses", key: "qmp" },
    { flags: "--netdev <id>", description: "the id of its -netdev user (net0)", key: "netdev" },
    { flags: "--guest <address>", description: "the guest's IPv4 address (10.0.2.15)", key: "guest" },
  ],
  examples: [
    "skep-qemu-user --qmp /tmp/vm/qmp.sock --control /tmp/vm/net.sock",
    `curl --unix-socket /tmp/vm/net.sock http://x/forwards -d '{"transport":"tcp","hostAddress":"127.0.0.1","hostPort":8080,"guestPort":80}'`,
  ],
  routes: networkRoutes,
})
