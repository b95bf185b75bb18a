// Our NFS server under the guest's kernel, which is killed while three workers make, move and check files; and shares that come by it.
import { createHash, randomBytes } from "node:crypto"
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import {
  fromSource,
  type Program,
  startProgram,
  type TemporaryDirectory,
  temporaryDirectory,
} from "@skep/testkit"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { IMAGE } from "./busybox.ts"
import { sharedSkep } from "./skep.ts"

const NAME = "nfs-client"
const WORKERS = 3
const ROUNDS = 12

const BASICS = `
cd /mnt/nfs
echo hello > a; cat a; ln a b; stat -c %h b; mv b c; ls
ln -s ../nowhere l; readlink l
mkfifo p; (echo through > p &); cat p
mkdir -p d/e/f; mv d/e g; rmdir g/f; ls -a g
exec 3> open; rm open; ls -a | grep -c '^[.]nfs'; exec 3>&-; ls -a | grep -c '^[.]nfs'
chmod 640 a; chown 12:34 a; touch -d '2001-02-03 04:05:06' a; stat -c '%a %u %g %y' a
truncate -s 5G s; stat -c '%s %b' s; echo x | dd of=s bs=1 seek=4294967296 conv=notrunc 2> /dev/null; dd if=s bs=1 skip=4294967296 count=1 2> /dev/null; echo
rm -rf d g l p c s; ls
`

/**
 * Says what went wrong, or nothing, and keeps sums of what it wrote. A server that was killed after it did something, before it said so, is asked
 * again, and then it is done already: so what failed is looked at.
 */
const WORKER = `
cd /mnt/nfs
work() {
  mkdir w$1
  for i in $(seq ${ROUNDS}); do
    echo "content $1 $i" > w$1/f$i || echo "cannot create f$i"
    mv w$1/f$i w$1/g$i || [ -e w$1/g$i ] || echo "cannot move f$i"
    [ "$(cat w$1/g$i)" = "content $1 $i" ] || echo "g$i is another"
    ln w$1/g$i w$1/h$i || [ -e w$1/h$i ] || echo "cannot link g$i"
    dd if=/dev/urandom of=w$1/r$i bs=64k count=16 2> /dev/null || echo "cannot write r$i"
    sha256sum w$1/r$i >> /tmp/sums$1
    touch /tmp/round$1-$i
  done
}
for w in $(seq ${WORKERS}); do work $w & done
wait
sync
echo 3 > /proc/sys/vm/drop_caches
cat /tmp/sums* | sha256sum -c 2>&1 | grep -v ': OK$'
cat /tmp/sums*
`

const skep = sharedSkep()
/** In the user's home directory, which every machine has. */
const src = join(skep.userHome, "by-nfs")
let directory: TemporaryDirectory
let server: Program
let port = 0

async function serve(at: number): Promise<void> {
  const words = fromSource(import.meta.dirname, "../interop/nfs-program.ts")
  server = startProgram(process.execPath, [...words, String(at), directory.at("shared")])
  const line: unknown = JSON.parse(await server.line((text) => text.startsWith("{")))
  port = (line as { port: number }).port
}

async function docker(...args: readonly string[]): Promise<string> {
  return (await skep.docker(["--host", `unix://${skep.dockerSocket(NAME)}`, ...args])).stdout
}

async function inGuest(script: string): Promise<readonly string[]> {
  const { stdout } = await skep.run(["ssh", NAME, "--", "sh"], { input: script })
  return stdout.trimEnd().split("\n")
}

beforeAll(async () => {
  directory = await temporaryDirectory()
  mkdirSync(directory.at("shared"))
  await serve(0)
  await skep.run(["up"])
  const sizes = ["--memory", "512m", "--cpus", "1", "--disk", "2g"]
  await skep.run(["up", NAME, "--network", "loopback", "--share-protocol", "nfs", ...sizes])
})

afterAll(async () => {
  await skep.run(["rm", "--force", NAME], { check: false })
  rmSync(src, { recursive: true, force: true })
  await server[Symbol.asyncDispose]()
  await directory[Symbol.asyncDispose]()
})

describe("the guest's kernel", () => {
  it("mounts what our server exports, and finds a file system there", async () => {
    const options = `nolock,noacl,vers=3,proto=tcp,port=${port},mountport=${port},mountproto=tcp`
    const said = await inGuest(`
      host=$(nslookup -type=a host.docker.internal | sed -n 's/^Address: //p' | grep -v : | tail -1)
      mkdir -p /mnt/nfs
      busybox mount -t nfs -o ${options},addr=$host $host:/files /mnt/nfs && echo mounted
      ${BASICS}`)
    const expected = `
      mounted
      hello 2 a c ../nowhere through . .. 1 0
      640|12|34|2001-02-03|04:05:06.000000000|+0000
      5368709120|0 x a`
    expect(said).toEqual(
      expected
        .trim()
        .split(/\s+/u)
        .map((word) => word.replaceAll("|", " ")),
    )
  })

  it("goes on with its files when the server is killed under it, twice", async () => {
    const working = inGuest(WORKER)
    const reached = async (round: number) =>
      await expect
        .poll(async () => (await inGuest(`ls /tmp/round1-${round} 2> /dev/null | wc -l`))[0], {
          timeout: 120_000,
        })
        .toBe("1")
    for (const round of [2, 6]) {
      await reached(round)
      server.child.kill("SIGKILL")
      await server[Symbol.asyncDispose]()
      await serve(port)
    }
    const sums = await working
    expect(sums.length).toBe(WORKERS * ROUNDS)
    for (const line of sums) {
      const [sum = "", path = ""] = line.split(/ +/u)
      expect(
        createHash("sha256")
          .update(readFileSync(directory.at("shared", path)))
          .digest("hex"),
      ).toBe(sum)
    }
  })
})

describe("skep up --share-protocol nfs", () => {
  it("has the home directory over NFS through the machine's gateway, and says so", async () => {
    const { shares, record } = await skep.json(["inspect", NAME])
    expect(record.shareProtocol).toBe("nfs")
    expect(shares).toMatchObject({ protocol: "nfs", reason: "it was asked for" })
    expect(shares.shares).toEqual([expect.objectContaining({ target: skep.userHome, state: "mounted" })])
    expect((await skep.run(["share", "ls", "--machine", NAME])).stderr).toContain("by nfs: it was asked for")
    expect(await inGuest(`grep -c ' ${skep.userHome} nfs .*port=2049' /proc/mounts`)).toEqual(["1"])
  })

  it("is what docker run -v mounts, both ways", async () => {
    mkdirSync(src)
    const data = randomBytes(1 << 20)
    writeFileSync(join(src, "data"), data)
    const archive = directory.at("busybox.tar")
    await skep.docker(["--host", `unix://${skep.dockerSocket()}`, "save", "-o", archive, IMAGE])
    await docker("load", "-i", archive)
    const script = "sha256sum < /src/data; echo from inside > /src/answer; mkdir /src/made; cat /src/answer"
    const said = await docker("run", "--rm", "-v", `${src}:/src`, IMAGE, "sh", "-ec", script)
    expect(said).toContain(createHash("sha256").update(data).digest("hex"))
    expect(said).toContain("from inside")
    expect(readFileSync(join(src, "answer"), "utf8")).toBe("from inside\n")
    expect(statSync(join(src, "made")).uid).toBe(process.getuid?.())
  })
})
