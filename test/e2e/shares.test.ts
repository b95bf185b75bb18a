// Directories of the host in the machine and its containers (issue: "What must work" 6 to 9; FEATURES 1.8).
import { createHash, randomBytes } from "node:crypto"
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { mkdtemp } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { identityOf, isAlive } from "@skep/runtime"
import { processesMentioning } from "@skep/testkit"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { IMAGE } from "./busybox.ts"
import { type Outcome, type RunOptions, run, sharedSkep } from "./skep.ts"

const skep = sharedSkep()
const user = skep.userHome
const src = join(user, "project/src")
/** Not in the home directory. */
const elsewhere = await mkdtemp(join(tmpdir(), "sh-"))

async function docker(...args: string[]): Promise<string> {
  return (await skep.docker(args)).stdout.trim()
}

async function refused(args: readonly string[], options: RunOptions = {}): Promise<string> {
  const outcome: Outcome = await skep.docker(args, { ...options, check: false })
  expect(outcome.code).not.toBe(0)
  return outcome.stderr
}

/** A shell in a container with these flags. */
async function shell(flags: readonly string[], line: string): Promise<string> {
  return await docker("run", "--rm", ...flags, IMAGE, "sh", "-ec", line)
}

beforeAll(async () => {
  mkdirSync(src, { recursive: true })
  writeFileSync(join(src, "hello"), "from the host\n")
  await run("gcc", ["-static", "-O1", "-o", join(user, "inotify"), join(import.meta.dirname, "inotify.c")])
})
afterAll(async () => {
  await skep.run(["share", "rm", elsewhere], { check: false })
  rmSync(elsewhere, { recursive: true, force: true })
})

describe("the home directory", () => {
  it("is in the machine at its own path, writable, and said so", async () => {
    const { shares } = await skep.json(["status"])
    expect(shares.shares).toEqual([
      expect.objectContaining({ path: user, target: user, readOnly: false, state: "mounted" }),
    ])
    expect(shares.protocol).toBe("virtiofs")
    const { stdout } = await skep.run(["share", "ls"])
    expect(stdout).toMatch(new RegExp(`${user} +same +read-write +consistent +virtual +mounted`))
  })

  it("is what docker run -v mounts, both ways, and files are the user's own", async () => {
    const data = randomBytes(3 << 20)
    writeFileSync(join(src, "data"), data)
    const said = await shell(
      ["-v", `${src}:/src`],
      "cat /src/hello; sha256sum < /src/data; echo from inside > /src/answer; mkdir /src/made; ln -s answer /src/link",
    )
    expect(said).toContain("from the host")
    expect(said).toContain(createHash("sha256").update(data).digest("hex"))
    expect(readFileSync(join(src, "link"), "utf8")).toBe("from inside\n")
    expect(statSync(join(src, "made")).uid).toBe(process.getuid?.())
  })

  it("sees at once what the other side changes", async () => {
    await docker("run", "-d", "--name", "sees", "-v", `${src}:/src`, IMAGE, "sleep", "600")
    try {
      for (const round of ["one", "two", "three, longer"]) {
        writeFileSync(join(src, "round"), round)
        expect(await docker("exec", "sees", "cat", "/src/round")).toBe(round)
        await docker("exec", "sees", "sh", "-c", `echo "${round} back" > /src/back`)
        expect(readFileSync(join(src, "back"), "utf8")).toBe(`${round} back\n`)
      }
    } finally {
      await docker("rm", "-f", "sees")
    }
  })

  it("is only read where that is asked for", async () => {
    const denied = "touch /src/no 2>&1 || true; cat /src/hello"
    for (const flags of [
      ["-v", `${src}:/src:ro`],
      ["--mount", `type=bind,src=${src},dst=/src,readonly`],
    ])
      expect(await shell(flags, denied)).toMatch(/Read-only file system[\s\S]*from the host/)
    expect(existsSync(join(src, "no"))).toBe(false)
  })
})

describe("what is not there", () => {
  it("is made by -v on the host, and refused by --mount, as Docker does", async () => {
    const made = join(user, "made/by/docker")
    await shell(["-v", `${made}:/x`], "echo x > /x/file")
    expect(readFileSync(join(made, "file"), "utf8")).toBe("x\n")
    const said = await refused(["run", "--rm", "--mount", `type=bind,src=${user}/none,dst=/x`, IMAGE, "true"])
    expect(said).toContain("bind source path does not exist")
  })

  it("and not shared either is refused with a sentence, instead of an empty directory", async () => {
    const said = await refused(["run", "--rm", "-v", `${elsewhere}:/x`, IMAGE, "true"])
    expect(said).toContain(
      `Cannot mount "${elsewhere}": it is not shared with the machine "default". Share it: skep share add ${elsewhere}`,
    )
    const volume = ["--opt", "type=none", "--opt", "o=bind", "--opt", `device=${elsewhere}`]
    expect(await refused(["volume", "create", ...volume])).toContain("is not shared with the machine")
    expect((await skep.run(["share", "add", join(user, "inotify")], { check: false })).stderr).toMatch(
      /it is not a directory \[bad-options]\nnext: Share the directory that it is in/,
    )
    expect((await skep.run(["share", "add", src], { check: false })).stderr).toContain(
      `is in the share "${user}"`,
    )
  })
})

describe("symbolic links", () => {
  it("mean in the machine what they mean on the host", async () => {
    mkdirSync(join(elsewhere, "deep"), { recursive: true })
    writeFileSync(join(elsewhere, "deep/file"), "elsewhere\n")
    symlinkSync("project/src", join(user, "relative"))
    symlinkSync(src, join(user, "absolute"))
    symlinkSync(elsewhere, join(user, "out"))
    for (const name of ["relative", "absolute"])
      expect(await shell(["-v", `${join(user, name)}:/x`], "cat /x/hello")).toBe("from the host")
    expect(await refused(["run", "--rm", "-v", `${user}/out:/x`, IMAGE, "true"])).toContain(
      `(which is "${elsewhere}"): it is not shared`,
    )
    await skep.run(["share", "add", elsewhere, "--target", "/mnt/elsewhere"])
    for (const path of [`${user}/out/deep`, `${elsewhere}/deep`, "/mnt/elsewhere/deep"])
      expect(await shell(["-v", `${path}:/x`], "cat /x/file")).toBe("elsewhere")
    await skep.run(["share", "rm", "/mnt/elsewhere"])
  })
})

describe("skep share", () => {
  it("adds and removes a share while the machine runs", async () => {
    writeFileSync(join(elsewhere, "there"), "there\n")
    const added = await skep.json(["share", "add", elsewhere])
    expect(added).toMatchObject({ path: elsewhere, target: elsewhere, state: "mounted" })
    expect(await shell(["-v", `${elsewhere}:/x`], "cat /x/there; echo w > /x/written")).toBe("there")
    expect(readFileSync(join(elsewhere, "written"), "utf8")).toBe("w\n")
    await skep.run(["share", "rm", elsewhere])
    expect(await refused(["run", "--rm", "-v", `${elsewhere}:/x`, IMAGE, "true"])).toContain("is not shared")
    expect((await skep.run(["shell", "--", `ls -A ${elsewhere} | wc -l`])).stdout.trim()).toBe("0")
    expect(existsSync(join(elsewhere, "written"))).toBe(true)
  })

  it("adds one that nobody in the machine can change", async () => {
    await skep.run(["share", "add", elsewhere, "--read-only"])
    expect(await shell(["-v", `${elsewhere}:/x`], "touch /x/no 2>&1 || true")).toContain(
      "Read-only file system",
    )
    expect((await skep.run(["share", "ls"])).stdout).toMatch(new RegExp(`${elsewhere} +same +read-only`))
    await skep.run(["share", "rm", elsewhere])
  })
})

describe("docker.sock in a container", () => {
  it("is the machine's own, by either name that clients have for it", async () => {
    const command = join(user, "docker")
    copyFileSync((await run("which", ["docker"], { env: skep.env })).stdout.trim(), command)
    chmodSync(command, 0o755)
    for (const socket of ["/var/run/docker.sock", join(skep.home, "r/docker.sock")]) {
      const flags = ["-v", `${socket}:/var/run/docker.sock`, "-v", `${command}:/bin/docker:ro`]
      // As testcontainers' reaper does: it starts a container, and removes what has its label.
      const line =
        "docker run -d --label reaped=yes busybox sleep 300 > /tmp/id; docker rm -f $(docker ps -q --filter label=reaped=yes) | wc -l"
      expect(await shell(flags, line)).toBe("1")
    }
  })
})

describe("a sidecar that is killed while a container writes", () => {
  it("is started again, and the container goes on with the same open file", async () => {
    const line =
      "exec 3> /src/long; i=0; while [ $i -lt 400 ]; do echo line $i >&3 || exit 9; i=$((i+1)); busybox usleep 10000; done"
    const name = "writes"
    await docker("run", "-d", "--name", name, "-v", `${src}:/src`, IMAGE, "sh", "-c", line)
    await expect
      .poll(() => existsSync(join(src, "long")) && statSync(join(src, "long")).size > 100, {
        timeout: 60_000,
      })
      .toBe(true)
    const before = processesMentioning(skep.home).find((one) => one.includes("/shares.js")) ?? ""
    const pid = Number(/^process (\d+)/.exec(before)?.[1])
    const identity = identityOf(pid)
    if (identity === undefined) throw new Error(`there is no sidecar in ${before}`)
    process.kill(pid, "SIGKILL")
    while (isAlive(identity)) await new Promise((resolve) => setImmediate(resolve))
    expect(await docker("wait", name)).toBe("0")
    await docker("rm", name)
    const lines = readFileSync(join(src, "long"), "utf8").trim().split("\n")
    expect(lines).toEqual(Array.from({ length: 400 }, (_, index) => `line ${index}`))
    expect(await shell(["-v", `${src}:/src`], "cat /src/hello")).toBe("from the host")
  })
})

/** A container's own root: busybox, SQLite and the user as whom a database runs. */
async function databaseImage(): Promise<void> {
  const context = await mkdtemp(join(tmpdir(), "sql-"))
  const { stdout } = await run("sh", ["-c", "ldd $(which sqlite3) | grep -o '/[^ ]*'; which sqlite3"])
  for (const file of stdout.trim().split("\n")) {
    mkdirSync(join(context, "root", dirname(file)), { recursive: true })
    copyFileSync(file, join(context, "root", file))
  }
  writeFileSync(join(context, "passwd"), "root:x:0:0::/:/bin/sh\ndb:x:999:999::/:/bin/sh\n")
  writeFileSync(join(context, "Dockerfile"), `FROM ${IMAGE}\nCOPY root /\nCOPY passwd /etc/passwd\n`)
  await docker("build", "-q", "-t", "database", context)
  rmSync(context, { recursive: true })
}

/** What an image of a database does before it starts: PostgreSQL refuses a directory that is not its own, or open to others. */
const DATABASE = [
  "mkdir -p /data/pg",
  "busybox chown -R 999:999 /data/pg",
  "busybox chmod 0700 /data/pg",
  "busybox su db -s /bin/sh -c 'busybox stat -c \"%u:%g %a\" /data/pg'",
  "busybox su db -s /bin/sh -c 'sqlite3 /data/pg/db \"pragma journal_mode=wal; create table if not exists t(x); insert into t values(1),(2); select count(*) from t\"'",
  "sleep 600",
].join(" && ")

/** What a server with hot reload does. */
const RELOAD =
  "mkdir -p /www; busybox cp /src/page /www/index.html; httpd -p 80 -h /www; inotify /src | while read event; do echo $$event; busybox cp /src/page /www/index.html; done"

describe("a Compose project with its source and its database on the host", () => {
  const site = join(user, "site")
  const compose = async (...args: string[]): Promise<string> => {
    const env = { ...skep.env, DOCKER_HOST: `unix://${skep.dockerSocket()}`, COMPOSE_PROJECT_NAME: "site" }
    return (await run("docker-compose", ["-f", join(site, "docker-compose.yml"), ...args], { env })).stdout
  }

  beforeAll(async () => {
    await databaseImage()
    mkdirSync(join(site, "src"), { recursive: true })
    mkdirSync(join(site, "db"))
    writeFileSync(join(site, "src/page"), "first\n")
    const services = {
      web: {
        image: IMAGE,
        command: ["sh", "-c", RELOAD],
        ports: ["80"],
        volumes: ["./src:/src:ro", `${join(user, "inotify")}:/bin/inotify:ro`],
        restart: "always",
      },
      db: { image: "database", command: ["sh", "-c", DATABASE], volumes: ["./db:/data"] },
    }
    writeFileSync(join(site, "docker-compose.yml"), JSON.stringify({ version: "3", services }))
    await compose("up", "-d")
  })
  afterAll(async () => {
    await compose("down", "-t", "0")
  })

  const page = async (): Promise<string> => {
    const port = (await compose("port", "web", "80")).trim().split(":").at(-1)
    return (await run("curl", ["-s", `http://127.0.0.1:${port}/`], { check: false })).stdout
  }
  const log = async (service: string): Promise<readonly string[]> =>
    (await compose("logs", "--no-color", "--no-log-prefix", service)).split("\n")

  it("serves what was edited on the host as soon as it was, whichever way it was saved", async () => {
    await expect.poll(() => log("web"), { timeout: 30_000 }).toContain("ready")
    expect(await page()).toBe("first\n")
    writeFileSync(join(site, "src/page"), "second\n")
    await expect.poll(page, { timeout: 20_000 }).toBe("second\n")
    // As editors save.
    writeFileSync(join(site, "src/.page.new"), "third\n")
    renameSync(join(site, "src/.page.new"), join(site, "src/page"))
    await expect.poll(page, { timeout: 20_000 }).toBe("third\n")
    const before = statSync(join(site, "src/page")).mtimeMs
    mkdirSync(join(site, "src/sub"))
    rmSync(join(site, "src/sub"), { recursive: true })
    await expect
      .poll(async () => (await log("web")).map((line) => line.replace(/ \d+$/, "")), { timeout: 20_000 })
      .toEqual(
        expect.arrayContaining([
          "moved-from /src/.page.new",
          "moved-to /src/page",
          "create /src/sub",
          "delete /src/sub",
        ]),
      )
    expect(statSync(join(site, "src/page")).mtimeMs).toBe(before)
  })

  it("has a database that owns its directory, whose files are the user's on the host", async () => {
    await expect
      .poll(() => log("db"), { timeout: 60_000 })
      .toEqual(expect.arrayContaining(["999:999 700", "2"]))
    for (const name of ["db/pg", "db/pg/db"]) expect(statSync(join(site, name)).uid).toBe(process.getuid?.())
    const { stdout } = await skep.run(["share", "owners", "export", user])
    for (const name of ["db/pg", "db/pg/db"])
      expect(stdout).toContain(`{"path":"site/${name}","uid":999,"gid":999`)
  })

  it("goes on where it was after the machine was started again, with containers that start by themselves", async () => {
    await skep.run(["restart"])
    await expect.poll(page, { timeout: 60_000 }).toBe("third\n")
    await compose("up", "-d")
    await expect.poll(() => log("db"), { timeout: 60_000 }).toEqual(expect.arrayContaining(["4"]))
    expect(await shell(["-v", `${site}/db:/data`], "busybox stat -c '%u:%g %a' /data/pg")).toBe("999:999 700")
  })
})
