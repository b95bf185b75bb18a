/**
 * `skep-virtiofsd`: the adapter as a program, with the guest's part of Skep's own share manager. Here, since no sidecar knows another.
 *
 * @module
 */
import { virtiofsdWith } from "@skep/adapters/virtiofsd"
import { serve, sharesRoutes } from "@skep/runtime"
import { openGuest } from "@skep/shares/guest"

const virtiofsd = virtiofsdWith((options, context) => {
  const guest = openGuest({
    options: { ...options, protocol: "virtiofs" },
    context,
    nfs: undefined,
    onGuest: () => undefined,
    onEchoed: () => undefined,
  })
  return guest?.side
})

await serve(virtiofsd, {
  version: "0.1.0",
  description: "virtiofsd as the shares of one virtual machine, all of them from its start on",
  flags: [
    { flags: "--machine <name>", description: "whose shares they are", key: "machine" },
    { flags: "--socket <path>", description: "the vhost-user socket for the hypervisor", key: "socket" },
    { flags: "--program <path>", description: "virtiofsd itself", key: "program" },
    {
      flags: "--lonely-ms <ms>",
      description: "end when no hypervisor was connected for so long; 0, as without it, is never",
      key: "lonelyMs",
      parse: Number,
    },
  ],
  examples: [
    `echo '{"machine":"m","socket":"/tmp/vm/s.sock","shares":[{"path":"/srv"}]}' | skep-virtiofsd --config -`,
  ],
  routes: sharesRoutes,
})
