/**
 * The launcher as a program: `skep-launcher --config machine.json --control launcher.sock`.
 *
 * @module
 */
import { serve } from "@skep/runtime"
import { STOP_DEADLINE_MS } from "./client.ts"
import { launcher } from "./launcher.ts"
import { launcherRoutes } from "./routes.ts"

await serve(launcher, {
  version: "0.1.0",
  description: "Starts one virtual machine and keeps it: process, console, true state",
  stopDeadlineMs: STOP_DEADLINE_MS,
  routes: launcherRoutes,
  flags: [
    { flags: "--name <name>", key: "name", description: "name of the machine" },
    { flags: "--cpus <count>", key: "cpus", description: "processors", parse: Number },
    { flags: "--memory <mib>", key: "memoryMiB", description: "memory in MiB", parse: Number },
    { flags: "--accelerator <name>", key: "accelerator", description: "auto, kvm, hvf or tcg" },
    { flags: "--program <path>", key: "program", description: "the hypervisor's program" },
    {
      flags: "--run-directory <path>",
      key: "runDirectory",
      description: "private directory for sockets and vm.json",
    },
    {
      flags: "--log-directory <path>",
      key: "logDirectory",
      description: "directory for console.log and qemu.log",
    },
    { flags: "--verdict-file <path>", key: "verdictFile", description: "remembers which accelerator works" },
  ],
  examples: [
    "skep-launcher --config machine.json --control /run/user/1000/skep/box/launcher.sock",
    "skep-launcher --config machine.json --accelerator tcg --memory 2048",
    "curl --unix-socket launcher.sock -X POST localhost/pause",
    "socat -,raw,echo=0 UNIX-CONNECT:console.sock",
  ],
})
