// PostgreSQL on a directory of the host, as a user of its own, while its container, the shares' sidecar and the machine itself are killed under it.
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { identityOf, isAlive, orAborted } from "@skep/runtime"
import { processesMentioning } from "@skep/testkit"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { imageFromHost } from "./host-image.ts"
import { type Outcome, sharedSkep } from "./skep.ts"
import { runToTheEnd } from "./to-the-end.ts"

const skep = sharedSkep()
const SERVER = "pg"
const UID = 999
/** The newest that Debian has installed here. */
const VERSIONS = "/usr/lib/postgresql"
const version = existsSync(VERSIONS) ? readdirSync(VERSIONS).toSorted().at(-1) : undefined
const skipped = version === undefined ? "there is no PostgreSQL on this host" : undefined
const programs = join(VERSIONS, version ?? "", "bin")
const libraries = join(VERSIONS, version ?? "", "lib")
const directory = join(skep.userHome, "databases")
const data = join(directory, "data")
/** Before it recovers it would sync each of its thousand files by itself: here all of them at once, as an emulated machine has time for. */
const SETTINGS = [
  "unix_socket_directories=/tmp",
  "listen_addresses=",
  "shared_buffers=16MB",
  "recovery_init_sync_method=syncfs",
]
  .map((setting) => `-c ${setting}`)
  .join(" ")
/** In the command line of the sidecar of the shares. */
const sidecar = join(skep.home, "r/default/shares.sock.control")
const PATIENCE_MS = 240_000
const SLOW_MS = 600_000

async function docker(...args: string[]): Promise<string> {
  return (await skep.docker(args)).stdout.trim()
}

/** What the images of databases do: their directory is made theirs by root, who then becomes them. */
function asUser(line: string): readonly string[] {
  const own = `mkdir -p /db/data && busybox chown ${UID}:${UID} /db/data && busybox chmod 0700 /db/data`
  return ["postgres", "sh", "-ec", `${own} && exec busybox su postgres -s /bin/sh -c 'exec ${line}'`]
}

async function runOnce(line: string): Promise<string> {
  return await runToTheEnd(skep, ["-v", `${directory}:/db`, ...asUser(line)])
}

const client = [SERVER, join(programs, "psql"), "-X", "-q", "-t", "-A", "-h", "/tmp", "-U", "postgres"]

async function sql(...statements: string[]): Promise<string> {
  return await docker("exec", ...client, ...statements.flatMap((one) => ["-c", one]))
}

/** Starts the server, in a new container or in the one that was killed, and waits until it has recovered. */
async function startServer(): Promise<void> {
  const there = await docker("ps", "-a", "-q", "--filter", `name=^/${SERVER}$`)
  const flags = ["--name", SERVER, "--shm-size", "128m", "-v", `${directory}:/db`]
  if (there === "")
    await docker("run", "-d", ...flags, ...asUser(`${programs}/postgres -D /db/data ${SETTINGS}`))
  else await docker("start", SERVER)
  await expect
    .poll(
      async () => (await skep.docker(["exec", ...client, "-c", "select 1"], { check: false })).stdout.trim(),
      {
        timeout: PATIENCE_MS,
      },
    )
    .toBe("1")
}

/** A session that inserts one row after the other, each committed by itself, and remembers which were. */
class Ledger implements AsyncDisposable {
  readonly #psql: ChildProcess
  readonly #ended: Promise<unknown>
  /** The last that the server said it has committed. */
  committed: number

  constructor(after: number) {
    this.committed = after
    this.#psql = spawn("docker", ["exec", "-i", ...client], {
      env: skep.env,
      stdio: ["pipe", "pipe", "ignore"],
    })
    this.#ended = once(this.#psql, "close")
    this.#psql.stdin?.on("error", () => undefined) // the server was killed
    createInterface({ input: this.#psql.stdout ?? process.stdin }).on("line", (line) => {
      this.committed = Number(line)
      this.#next()
    })
    this.#next()
  }

  async reaches(count: number): Promise<void> {
    const start = this.committed
    await vi.waitUntil(() => this.committed - start >= count, { timeout: PATIENCE_MS })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#psql.stdin?.end()
    await orAborted(this.#ended, AbortSignal.timeout(PATIENCE_MS))
  }

  #next(): void {
    const row = this.committed + 1
    this.#psql.stdin?.write(
      `insert into ledger values (${row}, repeat('x', ${(row * 37) % 2000})) returning n;\n`,
    )
  }
}

/** What pgbench does unless told, on fewer accounts. */
const TRANSACTION = [
  "\\set account random(1, 1000)",
  "\\set delta random(-5000, 5000)",
  "begin;",
  "update accounts set balance = balance + :delta where id = :account;",
  "update tellers set balance = balance + :delta where id = 1 + :account % 10;",
  "insert into history values (:account, :delta, now());",
  "end;",
].join("\n")

/** Two sessions, until they are killed or have made as many transactions each. */
function load(transactions?: number): Promise<Outcome> {
  const until = transactions === undefined ? ["-T", "10000"] : ["-t", String(transactions)]
  const what = ["-n", "-c", "2", "-f", "/db/transaction.sql", ...until]
  const args = [join(programs, "pgbench"), ...what, "-h", "/tmp", "-U", "postgres", "postgres"]
  return skep.docker(["exec", SERVER, ...args], { check: false })
}

/** Every row that was committed is there, none twice, and at most the one that was under way beside them; no transaction was done by half. */
async function isWhole(committed: number): Promise<number> {
  const [count = 0, last = 0] = (await sql("select count(*), max(n) from ledger")).split("|").map(Number)
  expect(count).toBe(last)
  expect([committed, committed + 1]).toContain(last)
  expect(await sql("select count(*) from ledger where length(x) <> (n * 37) % 2000")).toBe("0")
  const sums = await sql(
    "select (select sum(balance) from accounts), (select sum(balance) from tellers), (select coalesce(sum(delta), 0) from history)",
  )
  expect(new Set(sums.split("|")).size).toBe(1)
  return last
}

async function killAndWait(pid: number): Promise<void> {
  const identity = identityOf(pid)
  if (identity === undefined) throw new Error(`there is no process ${pid}`)
  process.kill(pid, "SIGKILL")
  while (isAlive(identity)) await new Promise((resolve) => setImmediate(resolve))
}

describe.skipIf(skipped !== undefined)(
  `PostgreSQL on a directory of the host ${skipped ?? ""}`,
  { timeout: SLOW_MS },
  () => {
    let committed = 0

    beforeAll(async () => {
      mkdirSync(directory, { recursive: true })
      writeFileSync(join(directory, "transaction.sql"), TRANSACTION)
      await imageFromHost(skep, {
        name: "postgres",
        programs: [
          ...["postgres", "initdb", "psql", "pgbench", "pg_checksums"].map((name) => join(programs, name)),
          ...["plpgsql.so", "dict_snowball.so"].map((name) => join(libraries, name)),
        ],
        trees: [`/usr/share/postgresql/${version}`, "/usr/share/zoneinfo/Etc"],
        users: { postgres: UID },
      })
    })
    afterAll(async () => {
      await skep.docker(["rm", "-f", SERVER], { check: false })
      rmSync(directory, { recursive: true, force: true })
    })

    it("makes its cluster there, in a directory that is its own inside and the user's outside", async () => {
      const said = await runOnce(
        `${programs}/initdb -D /db/data --wal-segsize=1 --no-locale -E UTF8 --data-checksums -A trust -N`,
      )
      expect(said).toContain("Success")
      expect(statSync(join(data, "PG_VERSION")).uid).toBe(process.getuid?.())
      const owner = ["run", "--rm", "-v", `${directory}:/db`, "postgres", "busybox", "stat", "-c", "%u %a"]
      expect(await docker(...owner, "/db/data")).toBe(`${UID} 700`)
      expect(await docker(...owner, "/db/data/PG_VERSION")).toBe(`${UID} 600`)
    })

    it("serves, and keeps what it has committed when its container is killed", async () => {
      await startServer()
      await sql("create table ledger(n int primary key, x text)")
      await sql(
        "create table accounts as select i as id, 0 as balance from generate_series(1, 1000) i",
        "create table tellers as select i as id, 0 as balance from generate_series(1, 10) i",
        "create table history(account int, delta int, at timestamp)",
        "alter table accounts add primary key (id)",
        "alter table tellers add primary key (id)",
      )
      const done = await load(50)
      expect(done.stdout).toContain("number of transactions actually processed: 100/100")
      {
        await using ledger = new Ledger(committed)
        const loading = load()
        await ledger.reaches(20)
        await docker("kill", SERVER)
        await loading
        committed = ledger.committed
      }
      await startServer()
      committed = await isWhole(committed)
    })

    it("does not notice that the sidecar of the shares is killed under it", async () => {
      await using ledger = new Ledger(committed)
      const loading = load(50)
      for (let round = 0; round < 2; round++) {
        await ledger.reaches(20)
        const line = processesMentioning(sidecar).find((one) => one.includes("/shares.js")) ?? ""
        await killAndWait(Number(/^process (\d+)/.exec(line)?.[1]))
      }
      await ledger.reaches(20)
      expect((await loading).stdout).toContain("number of transactions actually processed: 100/100")
      await ledger[Symbol.asyncDispose]()
      committed = await isWhole(ledger.committed)
      expect((await skep.docker(["logs", SERVER])).stderr).not.toMatch(/PANIC|ERROR/)
    })

    it.each(["QEMU is killed", "skep kill"])(
      "recovers when its machine is lost while it writes: %s",
      async (how) => {
        {
          await using ledger = new Ledger(committed)
          const loading = load()
          await ledger.reaches(20)
          if (how === "skep kill") await skep.run(["kill"])
          else await killAndWait((await skep.json(["status"])).vm.process.pid)
          await loading
          committed = ledger.committed
        }
        await skep.run(["up"])
        await startServer()
        committed = await isWhole(committed)
      },
    )

    it("has no page whose checksum is wrong at the end, and is gone from the host with its directory", async () => {
      await docker("stop", "-t", "60", SERVER)
      expect(await runOnce(`${programs}/pg_checksums --check -D /db/data`)).toMatch(/Bad checksums: +0/)
      await docker("rm", SERVER)
      rmSync(data, { recursive: true })
    })
  },
)
