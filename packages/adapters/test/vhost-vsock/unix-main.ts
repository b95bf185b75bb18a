/**
 * The adapter as a program, on Unix sockets.
 *
 * @module
 */
import { serve } from "@skep/runtime"
import { flags } from "../../src/vhost-vsock/flags.ts"
import { onUnix } from "./on-unix.ts"

await serve(onUnix, { version: "0.0.0", description: "the adapter on Unix sockets, for tests", flags })
