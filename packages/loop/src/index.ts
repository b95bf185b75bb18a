/**
 * A synchronous epoll loop in a worker thread. The calls are in `@skep/loop/sys`, memory in `@skep/loop/memory`, and what the entry
 * module of a thread needs in `@skep/loop/worker`.
 *
 * @module
 */
export { type Clock, monotonic } from "./loop/clock.ts"
export { type CounterName, Counters, type Counts } from "./loop/counters.ts"
export { Loop, type LoopOptions } from "./loop/loop.ts"
export type { Poller } from "./loop/poller.ts"
export type { Handler, Registration } from "./loop/registration.ts"
export type { ErrorSource, OnError, Scope } from "./loop/scope.ts"
export type { Timer } from "./loop/timer.ts"
export { type CallDone, type FilePosition, SyscallPool, type SyscallPoolOptions } from "./pool/pool.ts"
export { check, SystemError } from "./sys/error.ts"
export { type Availability, available } from "./sys/libc.ts"
export { type EntryFiles, entryOf } from "./thread/entry.ts"
export { LoopError } from "./thread/error.ts"
export type { ArgumentOf, ResultOf } from "./thread/protocol.ts"
export { type CallOptions, type LoopThread, type StartLoopOptions, startLoop } from "./thread/start.ts"
