// Bundles the programs of Skep into apps/skep/dist: those that share chunks together, those that are to be small alone.
import { createHash } from "node:crypto"
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { join, relative } from "node:path"
import { pathToFileURL } from "node:url"

const root = join(import.meta.dirname, "..")
const dist = join(root, "apps/skep/dist")
/** Read at run time, relative to the programs as they are relative to packages/guest/src. */
const GUEST_FILES = ["rootfs", "initrd", "applets.txt"]
const stamp = join(dist, "build.json")

/** What the CommonJS packages inside expect around them. */
const COMMON_JS = [
  'import { createRequire as __createRequire } from "node:module"',
  'import { dirname as __dirnameOf } from "node:path"',
  'import { fileURLToPath as __fileOf } from "node:url"',
  "const require = __createRequire(import.meta.url)",
  "const __filename = __fileOf(import.meta.url)",
  "const __dirname = __dirnameOf(__filename)",
].join("\n")

/** What people run, and what works for them: they share chunks. */
const TOGETHER = {
  skep: "apps/skep/src/main.ts",
  backend: "apps/skep/src/backend/main.ts",
  "image-builder": "apps/skep/src/backend/image-builder/main.ts",
  launcher: "packages/launcher/src/main.ts",
}
/**
 * What runs beside a machine for as long as it does, and is to be small: one file each. A chunk that a thread shares with its program brings the
 * program's libraries into the engine of the thread, and each file more costs its loading.
 */
const ALONE = {
  keeper: "packages/launcher/src/keeper/main.ts",
  "keeper-thread": "packages/launcher/src/keeper/thread.ts",
  network: "packages/network/src/main.ts",
  "network-thread": "packages/network/src/thread.ts",
  "network-node-thread": "packages/network/src/node-thread.ts",
  "syscall-pool": "packages/loop/src/pool/thread.ts",
  mount: "apps/skep/src/mount/main.ts",
  shares: "packages/shares/src/main.ts",
  "shares-thread": "packages/shares/src/thread.ts",
  exports: "packages/shares/src/exports/main.ts",
  leases: "packages/leases/src/main.ts",
  "tap-opener": "packages/link/src/tap/opener.ts",
  "qemu-user": "packages/adapters/src/qemu-user/main.ts",
  passt: "packages/adapters/src/passt/main.ts",
  gvproxy: "packages/adapters/src/gvproxy/main.ts",
  "vhost-vsock": "packages/adapters/src/vhost-vsock/main.ts",
  "vhost-vsock-thread": "packages/adapters/src/vhost-vsock/thread.ts",
  virtiofsd: "apps/skep/src/virtiofsd/main.ts",
  vsock: "packages/vsock/src/main.ts",
  "vsock-thread": "packages/vsock/src/thread.ts",
}

/** Builds if the sources changed since the last build. Returns whether it did. */
export async function build() {
  const hash = sourceHash()
  if (existsSync(stamp) && JSON.parse(readFileSync(stamp, "utf8")).hash === hash) return false
  const next = `${dist}.${process.pid}`
  rmSync(next, { recursive: true, force: true })
  const { build: bundle, stop } = await import("esbuild")
  const options = {
    absWorkingDir: root,
    outdir: join(next, "programs"),
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20",
    conditions: ["source"],
    // Native code stays where npm put it; ssh2 does without its optional parts.
    external: ["koffi", "*.node", "cpu-features"],
    banner: { js: COMMON_JS },
    define: { SKEP_BUILD: JSON.stringify(hash.slice(0, 12)) },
    legalComments: "none",
    minifySyntax: true,
    logLevel: "warning",
  }
  await bundle({ ...options, entryPoints: TOGETHER })
  for (const [name, source] of Object.entries(ALONE))
    await bundle({ ...options, entryPoints: { [name]: source } })
  await stop() // its service process would outlive the build
  narrow(join(next, "programs"))
  // The guest's own files are read at run time: they are part of the image recipe.
  for (const name of GUEST_FILES)
    cpSync(join(root, "packages/guest", name), join(next, name), { recursive: true })
  // Without its compiled part ssh2 takes half as much processor time again for each byte.
  const crypto = "crypto/build/Release/sshcrypto.node"
  const compiled = join(root, "node_modules/ssh2/lib/protocol", crypto)
  if (existsSync(compiled)) cpSync(compiled, join(next, "programs", crypto))
  const programs = Object.entries({ ...TOGETHER, ...ALONE })
  const sources = Object.fromEntries(programs.map(([name, source]) => [source, name]))
  writeFileSync(join(next, "build.json"), JSON.stringify({ hash, sources }))
  rmSync(dist, { recursive: true, force: true })
  mkdirSync(join(dist, ".."), { recursive: true })
  renameSync(next, dist)
  return true
}

/**
 * Puts "?" for what is not ASCII, which is in comments only: esbuild writes it as escapes everywhere else. One such letter, and the text of a program
 * takes twice its memory for as long as the program runs.
 */
function narrow(directory) {
  for (const name of readdirSync(directory)) {
    if (!name.endsWith(".js")) continue
    const text = readFileSync(join(directory, name), "utf8")
    // oxlint-disable-next-line no-control-regex -- ASCII is what is meant
    const narrowed = text.replace(/[^\x00-\x7f]/g, "?")
    if (narrowed !== text) writeFileSync(join(directory, name), narrowed)
  }
}

/** Over every file that goes into the bundle. */
function sourceHash() {
  const hash = createHash("sha256")
  const folders = ["apps", "packages"].flatMap((folder) =>
    readdirSync(join(root, folder)).flatMap((name) => [
      join(folder, name, "src"),
      join(folder, name, "rootfs"),
    ]),
  )
  const files = folders
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      statSync(join(root, folder)).isFile()
        ? [join(root, folder)]
        : readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
            .filter((entry) => entry.isFile())
            .map((entry) => join(entry.parentPath, entry.name)),
    )
  for (const file of [...files, join(root, "package-lock.json"), import.meta.filename].sort((a, b) =>
    a < b ? -1 : 1,
  )) {
    hash.update(relative(root, file)).update("\0").update(readFileSync(file)).update("\0")
  }
  return hash.digest("hex")
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const began = Date.now()
  const built = await build()
  process.stderr.write(
    built
      ? `skep: built in ${((Date.now() - began) / 1000).toFixed(1)} s\n`
      : "skep: the build is up to date\n",
  )
}
