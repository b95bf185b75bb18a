/**
 * The echo as a program.
 *
 * @module
 */
import { serve } from "@skep/runtime"
import { echo } from "./echo.ts"

await serve(echo, {
  version: "0.0.1",
  description: "Echoes bytes on a Unix socket",
  flags: [{ flags: "--socket <path>", description: "where to listen", key: "socket" }],
  examples: ["skep-echo --socket /tmp/echo.sock"],
})
