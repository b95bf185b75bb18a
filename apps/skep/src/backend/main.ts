/**
 * `skep-backend`: the backend as a program.
 *
 * @module
 */
import { serve } from "@skep/runtime"
import { VERSION } from "../version.ts"
import { backend } from "./backend.ts"

await serve(backend, {
  version: VERSION,
  description: "Owns the machines of one user; started by the skep command when it is needed",
  flags: [
    { flags: "--home <directory>", description: "$SKEP_HOME", key: "home" },
    { flags: "--run <directory>", description: "where its sockets are", key: "run" },
  ],
  routes: (running) => running.routes,
})
