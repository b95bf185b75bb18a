/**
 * Linux's own exportfs, in a mount namespace with an /etc/exports.d and a /var/lib/nfs of the test's own: what it takes, and what it makes of it. Nothing
 * is served: that needs the kernel's nfsd, which few test hosts have.
 *
 * @module
 */
import { spawnSync } from "node:child_process"
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { nodeArguments } from "@skep/runtime"
import { EXIT } from "@skep/runtime/exit"
import { afterEach, beforeEach, describe, expect, it } from "vitest"

const program = nodeArguments(import.meta.url, { built: "exports", source: "../../src/exports/main.ts" })
const env = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" }

/** Why it cannot be tried here, or undefined. */
function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return "only root has mount namespaces"
  const tried = spawnSync("unshare", ["--mount", "exportfs", "-s"], { env, encoding: "utf8" })
  return tried.status === 0 ? undefined : `exportfs does not run: ${tried.error?.message ?? tried.stderr}`
}
const skipped = whyNot()

/** Of everything that means something in such a file. */
const ODD = "ü#\"'\\"

const compare = (a: string, b: string): number => (a < b ? -1 : 1)

/** As in nfs-utils' table. */
function unescaped(path: string): string {
  return path.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}

let root: string
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "exportfs-")))
  for (const name of ["exports.d", "nfs", "a b", ODD]) mkdirSync(join(root, name))
  writeFileSync(join(root, "exports"), "")
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

/** Runs the program in a namespace where /etc/exports, /etc/exports.d and /var/lib/nfs are the test's. */
function run(words: readonly string[], input = "", sudoUid?: string) {
  const script = [
    "mount --make-rprivate /",
    "mkdir -p /etc/exports.d",
    "touch /etc/exports",
    'mount --bind "$ROOT/exports.d" /etc/exports.d',
    'mount --bind "$ROOT/exports" /etc/exports',
    'mount --bind "$ROOT/nfs" /var/lib/nfs',
    'exec "$@"',
  ].join(" && ")
  const more = sudoUid === undefined ? {} : { SUDO_UID: sudoUid }
  const done = spawnSync(
    "unshare",
    ["--mount", "sh", "-c", script, "sh", process.execPath, ...program, ...words],
    {
      env: { ...env, ROOT: root, ...more },
      input,
      encoding: "utf8",
    },
  )
  // oxlint-disable-next-line typescript/no-explicit-any -- a test looks into whatever is printed
  const answer: any = done.stdout === "" ? undefined : JSON.parse(done.stdout)
  return { code: done.status, answer, stderr: done.stderr }
}

/** What the kernel would be told: nfs-utils' own table. */
const table = (): string => readFileSync(join(root, "nfs/etab"), "utf8")

function request(names: readonly string[], more: object = {}): string {
  const directories = names.map((name) => ({ path: join(root, name), readOnly: name === "a b" }))
  return JSON.stringify({ machine: "dev", directories, client: "10.0.2.0/24", uid: 1000, gid: 1001, ...more })
}

describe.skipIf(skipped !== undefined)(
  `skep-exports with exportfs ${skipped ?? ""}`,
  { timeout: 60_000 },
  () => {
    it("exports odd names, as the user who asks, and takes them back", () => {
      const applied = run(["apply"], request(["a b", ODD]))
      expect(applied).toMatchObject({
        code: 0,
        stderr: "",
        answer: { plan: { changed: true }, warnings: [] },
      })
      const lines = table().trim().split("\n")
      expect(lines).toHaveLength(2)
      for (const line of lines) expect(line).toMatch(/anonuid=1000,anongid=1001/)
      const paths = lines.map((line) => unescaped(line.split("\t")[0] ?? ""))
      expect(paths.toSorted(compare)).toStrictEqual([join(root, "a b"), join(root, ODD)].toSorted(compare))
      expect(lines.find((line) => line.includes("\\040"))).toMatch(/10\.0\.2\.0\/24\(ro,/)
      expect(run(["apply"], request(["a b", ODD])).answer).toMatchObject({ plan: { changed: false } })
      expect(run(["list"]).answer).toStrictEqual(["dev"])
      expect(run(["remove", "dev"]).code).toBe(0)
      expect(table()).toBe("")
      expect(readdirSync(join(root, "exports.d"))).toStrictEqual([])
    })

    it("goes on though others' lines are wrong, and says what exportfs says", () => {
      writeFileSync(join(root, "exports"), "/srv/none 10.0.0.1(rw,nonsense)\n")
      const { code, answer } = run(["apply"], request(["a b"]))
      expect(code).toBe(0)
      expect(answer.warnings.join("\n")).toContain('unknown keyword "nonsense"')
      expect(table()).toContain("a\\040b")
    })

    it("explains what is in the way, and writes nothing for a check", () => {
      writeFileSync(join(root, "exports.d/mine.exports"), `"${join(root, "a b")}" *(ro,no_subtree_check)\n`)
      const { code, answer } = run(["check"], request(["a b"]))
      expect(code).toBe(EXIT.wrongState)
      expect(answer.error).toMatchObject({ code: "exists" })
      expect(answer.error.message).toContain("by somebody (/etc/exports.d/mine.exports, line 1)")
      rmSync(join(root, "exports.d/mine.exports"))
      expect(run(["check"], request(["a b"])).answer).toMatchObject({ changed: true })
      expect(readdirSync(join(root, "exports.d"))).toStrictEqual([])
    })

    it("lets who ran sudo export only as that user", () => {
      expect(run(["apply"], request(["a b"], { uid: 0 }), "1000")).toMatchObject({
        code: 1,
        answer: { error: { code: "permission-denied" } },
      })
      expect(run(["apply"], request(["a b"]), "1000").code).toBe(0)
    })
  },
)
