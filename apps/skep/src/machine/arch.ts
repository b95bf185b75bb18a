/**
 * Guest architectures, by Debian's names.
 *
 * @module
 */
import { arch } from "node:process"
import { SidecarError } from "@skep/contract"

export type Arch = "amd64" | "arm64"

/** The guest architecture of this host. Throws "unsupported-arch". */
export function hostArch(): Arch {
  if (arch === "x64") return "amd64"
  if (arch === "arm64") return "arm64"
  throw new SidecarError("unsupported-arch", `Cannot run machines on a host of the architecture "${arch}"`, {
    next: "Use a host with x86-64",
  })
}
