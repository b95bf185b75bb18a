// The first file of a loop thread whose entry is TypeScript: in development and tests only, built programs have none.
// Plain JavaScript, since a worker of Node 20 does not inherit the loader that its parent was started with.
import { workerData } from "node:worker_threads"
import { register } from "tsx/esm/api"

register()
await import(workerData.entry)
