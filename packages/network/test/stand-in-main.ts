/**
 * The stand-in as a program; its thread is beside it once both are bundled.
 *
 * @module
 */
import { runNetwork } from "../src/program.ts"
import { standInOf } from "./stand-in.ts"

await runNetwork(standInOf(new URL("./stand-in-thread.js", import.meta.url)))
