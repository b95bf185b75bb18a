/**
 * A program that logs more than a log may hold.
 *
 * @module
 */
import { openLog } from "@skep/runtime"

const log = await openLog({ name: "chatter" })
for (let i = 0; i < 30_000; i++) log.info("again", { i, padding: "p".repeat(400) })
