/**
 * The kernel of the image: its file, and the modules that the recipe chooses.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import * as bzimage from "./bzimage.ts"
import { matcher } from "./glob.ts"
import type { KernelModule } from "./kernel-modules.ts"
import * as kernelModules from "./kernel-modules.ts"
import type { Recipe } from "./recipe.ts"
import { type Entry, type FileEntry, file } from "./tree.ts"

export interface Kernel {
  readonly release: string
  readonly bzImage: Buffer
  /** The unpacked kernel; undefined if it is packed in a way we do not read. */
  readonly elf: Buffer | undefined
  /** Modules that mount the root, in load order. */
  readonly initial: readonly KernelModule[]
  /** Modules of every boot after that, in load order. */
  readonly boot: readonly KernelModule[]
  /** `/usr/lib/modules/<release>` of the root. */
  readonly tree: readonly FileEntry[]
}

/** The paths in the kernel's package that `assemble` wants to see. */
export function wanted(path: string): boolean {
  return (
    path.startsWith("/boot/vmlinuz-") ||
    /^\/usr\/lib\/modules\/.*(\.ko|\/modules\.builtin(\.modinfo)?)$/.test(path)
  )
}

/** Chooses what the recipe wants from the entries of the kernel's package. */
export function assemble(entries: readonly Entry[], modules: Recipe["modules"]): Kernel {
  const files = entries.filter((entry) => entry.type === "file")
  const image = files.find((entry) => entry.path.startsWith("boot/vmlinuz-"))
  if (image === undefined)
    throw new SidecarError(
      "image-build-failed",
      "Cannot build the guest image: the kernel package holds no kernel",
    )
  const release = image.path.slice("boot/vmlinuz-".length)
  const base = `usr/lib/modules/${release}/`
  const all = new Map<string, KernelModule>()
  for (const entry of files) {
    if (!entry.path.endsWith(".ko")) continue
    const module = kernelModules.parse(entry.path.slice(base.length), entry.data)
    all.set(module.name, module)
  }
  const initial = kernelModules.closure(all, modules.initial)
  const boot = kernelModules
    .closure(all, [...modules.initial, ...modules.boot])
    .filter((each) => !initial.includes(each))
  const isPresent = matcher(modules.present.map((pattern) => `kernel/${pattern}`))
  const present = [...initial, ...boot, ...[...all.values()].filter((each) => isPresent(each.path))]
  const chosen = new Map(
    kernelModules
      .closure(
        all,
        present.map((each) => each.name),
      )
      .map((each) => [each.name, each]),
  )
  const tables: readonly (readonly [name: string, content: string])[] = [
    ["modules.dep", kernelModules.dependencyTable(chosen)],
    ["modules.alias", kernelModules.aliasTable(chosen)],
    ["modules.symbols", ""],
    ["skep.order", boot.map((each) => `${each.path}\n`).join("")],
  ]
  return {
    release,
    bzImage: image.data,
    elf: bzimage.parse(image.data),
    initial,
    boot,
    tree: [
      ...[...chosen.values()].map((each) => file(base + each.path, 0o644, each.data)),
      ...tables.map(([name, content]) => file(base + name, 0o644, content)),
      ...files.filter((entry) => entry.path.startsWith(`${base}modules.builtin`)),
    ],
  }
}
