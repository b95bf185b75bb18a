/**
 * The guest image in a line of text.
 *
 * @module
 */
import type { Image } from "@skep/guest"

export type { Image } from "@skep/guest"

/** `skep-0123456789ab, Linux 6.1.0-40-cloud-amd64` */
export function imageSummary(image: Image): string {
  return `${image.id.slice(0, 12)}, Linux ${image.kernelRelease}`
}
