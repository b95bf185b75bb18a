/**
 * `skep-mount`: one mount as a program. `skep mount` starts it.
 *
 * @module
 */
import { serve } from "@skep/runtime"
import { machineMount } from "./machine-mount.ts"

// Nobody could unmount the directory that we are in.
process.chdir("/")

await serve(machineMount, {
  version: "0.1.0",
  description: "A directory of a machine as a directory of the host, over SFTP and FUSE",
  flags: [
    { flags: "--machine <name>", description: "whose files", key: "machine" },
    { flags: "--path <path>", description: "the machine's directory", key: "path" },
    { flags: "--directory <path>", description: "the host's directory", key: "directory" },
    { flags: "--link-base <path>", description: "where absolute links begin", key: "linkBase" },
    { flags: "--read-only", description: "refuse every change", key: "readOnly" },
    {
      flags: "--cache <ms>",
      description: "how long attributes are kept (1000)",
      key: "cacheMs",
      parse: Number,
    },
    {
      flags: "--deadline <ms>",
      description: "how long to wait for the machine (10000)",
      key: "deadlineMs",
      parse: Number,
    },
    { flags: "--connect <socket>", description: "the vsock bridge's connect socket", key: "connect" },
    { flags: "--ssh-port <port>", description: "the host's port of sshd", key: "sshPort", parse: Number },
    { flags: "--identity-file <path>", description: "our private key", key: "identityFile" },
    { flags: "--host-key <key>", description: "the machine's public key", key: "hostKey" },
  ],
  examples: ["skep-mount --config mount.json --control /tmp/mount.sock"],
  routes: (running) => ({
    "POST /unmount": async ({ body }) => {
      const force = typeof body === "object" && body !== null && "force" in body && body.force === true
      await running.unmount(force)
    },
  }),
})
