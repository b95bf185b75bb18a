/**
 * `skep-shares`: the sidecar as a program.
 *
 * @module
 */
import { serve, sharesRoutes } from "@skep/runtime"
import { ownersRoutes } from "./owners/verbs.ts"
import { shares } from "./shares.ts"

await serve(shares, {
  version: "0.1.0",
  description: "Directories of the host in a virtual machine, over virtiofs or NFS",
  routes: (running) => ({ ...sharesRoutes(running), ...ownersRoutes(running.owners) }),
  flags: [
    { flags: "--machine <name>", description: "whose shares they are", key: "machine" },
    { flags: "--socket <path>", description: "the vhost-user socket for the hypervisor", key: "socket" },
    {
      flags: "--state-directory <path>",
      description: "what has to outlive this process; this machine's own",
      key: "stateDirectory",
    },
    {
      flags: "--share <path[:target][:ro]>",
      description: "a directory, and where it is in the guest; may be repeated",
      key: "shares",
      parse: (text: string, before: readonly unknown[] = []) => [...before, ruleOf(text)],
    },
    { flags: "--tag <tag>", description: "what the guest mounts by; skep unless told", key: "tag" },
    {
      flags: "--hide <path>",
      description: "a path of the host that nobody sees inside a share; may be repeated",
      key: "hidden",
      parse: (text: string, before: readonly string[] = []) => [...before, text],
    },
    {
      flags: "--nfs-port <port>",
      description: "serve NFS on this port of 127.0.0.1 as well; 0 chooses one",
      key: "nfs",
      parse: (text: string) => ({ port: Number(text) }),
    },
    {
      flags: "--nfs-address <address>",
      description: "by which address the guest reaches that",
      key: "nfsAddress",
    },
    {
      flags: "--nfs-socket <path>",
      description: "serve NFS on this Unix socket, for a gateway that leads there",
      key: "nfs",
      parse: (text: string) => ({ socket: text }),
    },
    {
      flags: "--guest-nfs-port <port>",
      description: "by which port the guest reaches it, where that is another one",
      key: "nfsPort",
      parse: Number,
    },
    { flags: "--protocol <protocol>", description: "auto, virtiofs, nfs or exports", key: "protocol" },
    { flags: "--xattrs", description: "let virtiofs have extended attributes", key: "xattrs" },
    {
      flags: "--lonely-ms <ms>",
      description: "end when no hypervisor was connected for so long; 0, as without it, is never",
      key: "lonelyMs",
      parse: Number,
    },
  ],
  examples: [
    "skep-shares --machine default --socket /tmp/vm/shares.sock --state-directory /tmp/vm/shares --share $HOME",
    "skep-shares --machine m --socket /tmp/vm/s.sock --state-directory /tmp/vm/s --share /srv/data:/data:ro",
    "qemu-system-x86_64 … -object memory-backend-memfd,id=m,size=1G,share=on -machine memory-backend=m \\",
    "  -chardev socket,id=s,path=/tmp/vm/shares.sock -device vhost-user-fs-device,chardev=s,tag=skep,queue-size=1024",
    "mount -t virtiofs skep /mnt    # in the guest: each share is a directory with its number",
  ],
})

/** `PATH`, `PATH:TARGET`, `PATH:ro`, `PATH:TARGET:ro`. */
function ruleOf(text: string): Readonly<Record<string, unknown>> {
  const [path = "", ...rest] = text.split(":")
  const readOnly = rest.at(-1) === "ro"
  const [target = path] = readOnly ? rest.slice(0, -1) : rest
  return { path, target, readOnly }
}
