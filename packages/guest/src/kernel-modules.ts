/**
 * Chooses kernel modules and writes the tables by which `modprobe` finds them, from what the modules say of themselves
 * in `.modinfo`. It stands in for `depmod`, which needs not be on the host then; tables as in modules.dep(5).
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import * as elf from "./elf.ts"

/** A kernel module as found in its package. */
export interface KernelModule {
  /** Path below `/lib/modules/<release>`, for instance `kernel/fs/erofs/erofs.ko`. */
  readonly path: string
  /** Name as the kernel knows it: with underscores. */
  readonly name: string
  readonly depends: readonly string[]
  readonly aliases: readonly string[]
  readonly data: Buffer
}

/** Reads a module; `path` is where it lies below `/lib/modules/<release>`. */
export function parse(path: string, data: Buffer): KernelModule {
  const info = elf.moduleInfo(data)
  const values = (key: string): string[] => info.filter((pair) => pair[0] === key).map((pair) => pair[1])
  const name = normal(path.slice(path.lastIndexOf("/") + 1).replace(/\.ko$/, ""))
  const depends = values("depends")
    .flatMap((list) => list.split(","))
    .filter((each) => each !== "")
  return { path, name, depends: depends.map(normal), aliases: values("alias"), data }
}

/**
 * Returns the named modules and all they depend on, each after what it depends on and otherwise in the given order.
 * Throws "image-build-failed" if a module is not there: then kernel and recipe do not fit.
 */
export function closure(
  modules: ReadonlyMap<string, KernelModule>,
  names: readonly string[],
): readonly KernelModule[] {
  const done = new Map<string, KernelModule>()
  const visit = (name: string, wantedBy: string): void => {
    if (done.has(name)) return
    const module = modules.get(name)
    if (module === undefined) {
      throw new SidecarError(
        "image-build-failed",
        `Cannot choose kernel modules: ${wantedBy} wants "${name}", which the kernel package lacks`,
      )
    }
    for (const each of module.depends) visit(each, name)
    done.set(name, module)
  }
  for (const name of names) visit(normal(name), "the recipe")
  return [...done.values()]
}

/** Writes modules.dep: each module with all it needs, the nearest first. */
export function dependencyTable(modules: ReadonlyMap<string, KernelModule>): string {
  return [...modules.values()]
    .map((module) => {
      const needed = closure(modules, [module.name]).slice(0, -1).toReversed()
      return `${module.path}:${needed.map((each) => ` ${each.path}`).join("")}\n`
    })
    .toSorted()
    .join("")
}

/** Writes modules.alias: which module answers to which device or protocol name. */
export function aliasTable(modules: ReadonlyMap<string, KernelModule>): string {
  return [...modules.values()]
    .flatMap((module) => module.aliases.map((alias) => `alias ${alias} ${module.name}\n`))
    .toSorted()
    .join("")
}

function normal(name: string): string {
  return name.replaceAll("-", "_")
}
