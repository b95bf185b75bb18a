// What developers run all day, in containers on a directory of the host: git, npm, and a server that is started anew when its source changes.
import { execFileSync } from "node:child_process"
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { dirname, join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { imageFromHost } from "./host-image.ts"
import { run, sharedSkep } from "./skep.ts"
import { runToTheEnd } from "./to-the-end.ts"

const skep = sharedSkep()
const work = join(skep.userHome, "work")
/** No user of the machine, and not who serves the files. */
const DEVELOPER = "1000:1000"
const FILES = 40
const SLOW_MS = 600_000

beforeAll(() => mkdirSync(work, { recursive: true }))
afterAll(() => rmSync(work, { recursive: true, force: true }))

/** A shell in a container of this image, in the directory of the host at its own path. */
async function inside(image: string, line: string): Promise<string> {
  const flags = ["--user", DEVELOPER, "-v", `${work}:${work}`, "-w", work, "-e", `HOME=${work}`]
  return await runToTheEnd(skep, [...flags, image, "sh", "-ec", line])
}

describe("git", { timeout: SLOW_MS }, () => {
  const repository = join(work, "repository")
  const git = (...args: string[]): string => {
    const env = { ...skep.env, HOME: work }
    return execFileSync("git", ["-C", repository, ...args], { encoding: "utf8", env }).trim()
  }

  beforeAll(async () => {
    const core = (await run("git", ["--exec-path"])).stdout.trim()
    await imageFromHost(skep, {
      name: "git",
      programs: ["/usr/bin/git"],
      links: {
        "/usr/bin/git-upload-pack": "git",
        [join(core, "git")]: "/usr/bin/git",
      },
      users: { developer: 1000 },
    })
    writeFileSync(
      join(work, ".gitconfig"),
      "[user]\nname = D\nemail = d@example.org\n[init]\ndefaultBranch = main\n",
    )
    const source = join(work, "source")
    const all = Array.from({ length: FILES }, (_, index) => join(source, `d${index % 17}`, `f${index}`))
    for (const [index, path] of all.entries()) {
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, `${index}\n`.repeat(1 + index * 3))
    }
    const env = { ...skep.env, HOME: work }
    for (const args of [
      ["init", "-q"],
      ["add", "."],
      ["commit", "-q", "-m", "first"],
    ])
      execFileSync("git", ["-C", source, ...args], { env })
  })

  it("clones, commits, changes branches and collects garbage in the container, and all of it is whole", async () => {
    const said = await inside(
      "git",
      [
        "git clone -q source repository",
        "cd repository",
        "git status --porcelain",
        "git checkout -q -b other",
        "for d in d*; do echo more >> $d/f${d#d}; done",
        "busybox rm d3/f3 && busybox mv d4/f4 d4/moved && busybox chmod +x d5/f5 && busybox ln -s ../d6/f6 d7/link",
        "git add -A && git commit -q -m second",
        "git checkout -q main && busybox test ! -e d7/link && busybox test -e d3/f3",
        "git status --porcelain",
        "git checkout -q other && busybox test -L d7/link && busybox test -x d5/f5",
        "git gc -q --prune=now",
        "git fsck --full --strict",
        "git status --porcelain",
        "git count-objects -v | busybox grep -E '^(count|garbage|packs):'",
        "git diff --stat main other | busybox tail -n 1",
      ].join("\n"),
    )
    expect(said).toBe("count: 0\npacks: 1\ngarbage: 0\n 18 files changed, 17 insertions(+), 10 deletions(-)")
  })

  it("finds on the host what was done in the container, and the other way round", async () => {
    expect(git("fsck", "--full", "--strict")).toBe("")
    expect(git("status", "--porcelain")).toBe("")
    expect(git("log", "--format=%s %an")).toBe("second D\nfirst D")
    writeFileSync(join(repository, "d0/from the host"), "x\n")
    git("add", "-A")
    git("commit", "-q", "-m", "third")
    expect(await inside("git", "cd repository && git status --porcelain && git log --format=%s -1")).toBe(
      "third",
    )
    writeFileSync(join(repository, "d0/f0"), "changed on the host\n")
    expect(await inside("git", "cd repository && git status --porcelain")).toBe("M d0/f0")
  })
})

describe("node and npm", { timeout: SLOW_MS }, () => {
  const project = join(work, "project")

  /** A package with a program, as a tarball; nothing is asked of a registry. */
  async function pack(name: string, dependencies: Readonly<Record<string, string>>): Promise<void> {
    const root = join(work, "packages", name, "package")
    mkdirSync(join(root, "lib"), { recursive: true })
    const manifest = { name, version: "1.0.0", bin: "cli.js", dependencies }
    writeFileSync(join(root, "package.json"), JSON.stringify(manifest))
    writeFileSync(join(root, "index.js"), `module.exports = ${JSON.stringify(name)}\n`)
    const uses = Object.keys(dependencies).map((each) => `require(${JSON.stringify(each)})`)
    const cli = `#!/usr/bin/env node\nconsole.log([${[JSON.stringify(name), ...uses].join(", ")}].join(" uses "))\n`
    writeFileSync(join(root, "cli.js"), cli)
    chmodSync(join(root, "cli.js"), 0o755)
    for (let index = 0; index < FILES; index++)
      writeFileSync(join(root, "lib", `${index}.js`), `module.exports = ${index}\n`)
    await run("tar", ["-C", dirname(root), "-czf", join(work, `${name}.tgz`), "package"])
  }

  beforeAll(async () => {
    const npm = dirname(dirname(realpathSync((await run("which", ["npm"])).stdout.trim())))
    await imageFromHost(skep, {
      name: "node",
      programs: [process.execPath],
      trees: [npm],
      links: {
        "/usr/local/bin/npm": join(npm, "bin/npm-cli.js"),
        ...(process.execPath === "/usr/bin/node" ? {} : { "/usr/bin/node": process.execPath }),
        "/usr/bin/env": "/bin/busybox",
      },
      users: { developer: 1000 },
    })
    await pack("inner", {})
    await pack("outer", { inner: `file:${join(work, "inner.tgz")}` })
    mkdirSync(project)
    writeFileSync(
      join(project, "package.json"),
      JSON.stringify({ name: "project", version: "1.0.0", scripts: { both: "inner && outer" } }),
    )
  })

  it("installs packages with their programs, which run inside and outside", async () => {
    const install = "npm install --offline --no-audit --no-fund --loglevel=error"
    await inside("node", `cd project && ${install} ../outer.tgz ../inner.tgz`)
    const bin = join(project, "node_modules/.bin")
    expect(readdirSync(bin).toSorted()).toEqual(["inner", "outer"])
    expect(lstatSync(join(bin, "inner")).isSymbolicLink()).toBe(true)
    expect(readlinkSync(join(bin, "inner"))).toBe("../inner/cli.js")
    expect(execFileSync(join(bin, "outer"), { encoding: "utf8", env: skep.env })).toBe("outer uses inner\n")
    expect(await inside("node", "cd project && npm run --silent both")).toBe("inner\nouter uses inner")
    for (const name of ["inner", "outer"])
      expect(readdirSync(join(project, "node_modules", name, "lib"))).toHaveLength(FILES)
  })

  it("removes them again, and installs them from the lock file", async () => {
    const flags = "--offline --no-audit --no-fund --loglevel=error"
    await inside(
      "node",
      `cd project && npm uninstall ${flags} outer && npm ls --omit=dev --parseable | busybox wc -l`,
    )
    expect(readdirSync(join(project, "node_modules/.bin"))).toEqual(["inner"])
    await inside("node", `cd project && npm ci ${flags} && node_modules/.bin/inner`)
    expect(existsSync(join(project, "node_modules/outer"))).toBe(false)
  })

  it("starts a watched program anew for each edit on the host", async () => {
    const source = join(project, "watched.js")
    const write = (text: string): void =>
      writeFileSync(
        source,
        `require("./part.js")\nsetInterval(() => undefined, 1000)\nconsole.log("${text}")\n`,
      )
    writeFileSync(join(project, "part.js"), 'console.log("part 1")\n')
    write("first")
    const flags = ["-d", "--name", "watched", "--user", DEVELOPER, "-v", `${project}:/src`, "-w", "/src"]
    await skep.docker(["run", ...flags, "node", "node", "--watch", "watched.js"])
    try {
      const log = async (): Promise<string> => (await skep.docker(["logs", "watched"])).stdout
      await expect.poll(log, { timeout: 240_000 }).toContain("first")
      write("second")
      await expect.poll(log, { timeout: 240_000 }).toContain("second")
      writeFileSync(join(project, "part.js"), 'console.log("part 2")\n')
      await expect.poll(log, { timeout: 240_000 }).toContain("part 2")
      expect(readFileSync(source, "utf8")).toContain("second")
    } finally {
      await skep.docker(["rm", "-f", "watched"])
    }
  })
})
