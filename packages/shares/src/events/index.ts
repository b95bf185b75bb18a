/**
 * Changes of the host's files, for the guest's watchers and for people.
 *
 * @module
 */
export { ECHO_GROUP, ECHO_IDS } from "./echo.ts"
export { withEchoes } from "./echo-policy.ts"
export { type EchoCounters, EchoQueue, type EchoQueueOptions } from "./echo-queue.ts"
export { isGhost } from "./ghosts.ts"
export {
  type FileEvent,
  type ShareEventCounters,
  ShareEvents,
  type ShareEventsOptions,
} from "./share-events.ts"
