/**
 * A host without a network: a folder of fake programs that stand in for apt, dpkg-deb and mkfs.erofs, and a little
 * Debian archive whose packages are plain tars. It lets a whole build run in a fraction of a second.
 *
 * @module
 */
import { createHash } from "node:crypto"
import { chmod, mkdir, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { pack } from "tar-stream"
import { recipe } from "../src/recipe.ts"

export interface FakeHost {
  readonly programPath: string
  /** Replaces a program by another shell script. */
  script(program: string, body: string): Promise<void>
  remove(program: string): Promise<void>
}

const KERNEL = "linux-image-6.1.0-0-test"

export async function fakeHost(directory: string): Promise<FakeHost> {
  const programPath = join(directory, "bin")
  const archive = join(directory, "archive")
  await mkdir(programPath, { recursive: true })
  await mkdir(archive, { recursive: true })
  const plan = recipe("amd64")
  const index: string[] = [stanza(plan.kernelPackage, Buffer.alloc(0), `${KERNEL} (= 1.0)`)]
  const packages: (readonly [name: string, files: readonly string[]])[] = [
    ...plan.packages.map((each) => [each.name, each.files.map(example)] as const),
    [KERNEL, kernelFiles(plan.modules.initial, plan.modules.boot)],
  ]
  for (const [name, files] of packages) {
    const deb = await tar(files)
    await writeFile(join(archive, `${name}_1.0_amd64.deb`), deb)
    index.push(stanza(name, deb))
  }
  await writeFile(join(directory, "index"), index.join("\n"))
  const host: FakeHost = {
    programPath,
    script: async (program, body) => {
      const path = join(programPath, program)
      await writeFile(path, `#!/bin/sh\nPATH=/usr/bin:/bin\n${body}\n`)
      await chmod(path, 0o755)
    },
    remove: async (program) => {
      await rm(join(programPath, program))
    },
  }
  await host.script("apt-config", "[ \"$1\" = dump ] || printf \"LIST='/nowhere'\\nPARTS='/nowhere.d'\\n\"")
  await host.script("apt-cache", `[ "$1" = --version ] || cat ${join(directory, "index")}`)
  await host.script(
    "apt-get",
    `[ "$1" != download ] || cp ${archive}/*.deb .\n[ "$1" != indextargets ] || echo 'mirror:/debian|bookworm|main|Debian'`,
  )
  await host.script("dpkg-deb", '[ "$1" = --version ] || cat "$2"')
  await host.script(
    "mkfs.erofs",
    '[ "$1" = -V ] || { for last; do before=$out; out=$last; done; echo "erofs of $(cd "$last" && find . | wc -l)" > "$before"; }',
  )
  return host
}

/** A path that a glob of the recipe matches. */
function example(glob: string): string {
  return glob.replaceAll(/\{([^,}]*),[^}]*\}/g, "$1").replaceAll(/\*+/g, "x")
}

function kernelFiles(...names: readonly (readonly string[])[]): readonly string[] {
  const modules = names.flat().map((name) => `/lib/modules/6.1.0-0-test/kernel/${name}.ko`)
  return ["/boot/vmlinuz-6.1.0-0-test", ...modules, "/lib/modules/6.1.0-0-test/modules.builtin"]
}

async function tar(files: readonly string[]): Promise<Buffer> {
  const archive = pack()
  for (const path of files)
    archive.entry({ name: `.${path}`, mode: 0o755, mtime: new Date(0) }, `content of ${path}`)
  archive.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of archive) if (chunk instanceof Uint8Array) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}

function stanza(name: string, deb: Buffer, depends = ""): string {
  const sha256 = createHash("sha256").update(deb).digest("hex")
  return `Package: ${name}\nVersion: 1.0\nArchitecture: amd64\nDepends: ${depends}\nSize: ${deb.length}\nSHA256: ${sha256}\n`
}
