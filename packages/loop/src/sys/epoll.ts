/**
 * epoll and eventfd, the calls themselves. The loop is in `../loop`.
 *
 * @module
 */
import * as c from "./constants.ts"
import { libc } from "./libc.ts"
import { interrupted, outcome } from "./outcome.ts"

/** Close-on-exec. */
export function epollCreate(): number {
  return outcome(libc.epoll_create1(c.EPOLL_CLOEXEC))
}

/** `event` is the address of a struct epoll_event. */
export function epollControl(epoll: number, operation: number, fd: number, event: number): number {
  return outcome(libc.epoll_ctl(epoll, operation, fd, event))
}

/** Waits up to `timeoutMs`, -1 for ever. Says -EINTR when a signal arrived: the caller knows how long is left. */
export function epollWait(epoll: number, events: number, capacity: number, timeoutMs: number): number {
  return outcome(libc.epoll_wait(epoll, events, capacity, timeoutMs))
}

/** The same with nanoseconds: `timespec` is an address, 0 waits for ever. Undefined where the C library lacks it. */
export const epollWaitExact:
  | ((epoll: number, events: number, capacity: number, timespec: number) => number)
  | undefined = exact(libc.epoll_pwait2)

function exact(pwait2: typeof libc.epoll_pwait2) {
  if (pwait2 === undefined) return undefined
  return (epoll: number, events: number, capacity: number, timespec: number): number =>
    outcome(pwait2(epoll, events, capacity, timespec, 0))
}

/** A counter to wake others with, not blocking, close-on-exec. */
export function eventfd(initial = 0): number {
  return outcome(libc.eventfd(initial, c.EFD_CLOEXEC | c.EFD_NONBLOCK))
}

/** Adds `value` to an eventfd. Needs no memory, so any thread may call it any time. */
export function signal(fd: number, value = 1): number {
  let n = libc.eventfd_write(fd, value)
  while (interrupted(n)) n = libc.eventfd_write(fd, value)
  return outcome(n)
}

/** Lets others run that could run on this core, if there are any. */
export function yieldCore(): void {
  libc.sched_yield()
}

/** The kernel's number of the calling thread. */
export function threadId(): number {
  return libc.gettid()
}
