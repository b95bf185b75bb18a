/**
 * What the backend and its image builder say to each other over Node's process channel.
 *
 * @module
 */
import type { ErrorBody } from "@skep/contract"
import type { BuildOptions, Image, Progress } from "@skep/guest"

/** The one order that a builder gets. */
export type ToBuilder = Pick<BuildOptions, "imagesDir" | "cacheDir" | "arch">

/** Progress any number of times, then one answer. */
export type FromBuilder =
  | { readonly progress: Progress }
  | { readonly image: Image }
  | { readonly error: ErrorBody }
