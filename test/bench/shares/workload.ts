/**
 * What people do with shared files, as lines for the guest's shell: each in the directory `$W`, mounted in the tools' root too.
 *
 * @module
 */

/** What is measured, seen from the guest: `$W` in its lines. */
export const WORK = "/tools/work"

/** Numbers of files as the issue names them; a quick run has a tenth. */
export interface Size {
  readonly mebibytes: number
  readonly repositoryFiles: number
  readonly archiveFiles: number
  readonly inserts: number
  readonly fioSeconds: number
}

export const WHOLE: Size = {
  mebibytes: 256,
  repositoryFiles: 5000,
  archiveFiles: 20_000,
  inserts: 200,
  fioSeconds: 5,
}
export const QUICK: Size = {
  mebibytes: 64,
  repositoryFiles: 500,
  archiveFiles: 2000,
  inserts: 50,
  fioSeconds: 2,
}

export interface Load {
  readonly name: string
  readonly unit: "s" | "MiB/s" | "IOPS"
  /** Made before the time is taken. */
  readonly before?: string
  readonly command: string
  readonly after?: string
  /** The number: from what the command wrote, or else from the seconds that it took. */
  readonly value: (seconds: number, output: string) => number
}

const inTools = (command: string): string =>
  `chroot /tools /bin/sh -c 'export PATH=/bin HOME=/tmp; cd /work && ${command}'`
/** What the guest keeps of files, so that reads come from the server. */
const DROP = "sync; echo 3 > /proc/sys/vm/drop_caches"
const seconds = (value: number): number => value

/** A little of everything, a few times. */
export const WARM_UP =
  "for i in 1 2 3 4; do cp -a $W/repository/d$i $W/warm && cat $W/warm/* > /dev/null && ls -l $W/warm > /dev/null && rm -rf $W/warm; done; " +
  "dd if=/dev/zero of=$W/warm bs=1M count=64 conv=fsync 2>/dev/null; echo 3 > /proc/sys/vm/drop_caches; " +
  "dd if=$W/warm of=/dev/null bs=1M 2>/dev/null; dd if=$W/warm of=$W/warm bs=4k count=2000 conv=notrunc 2>/dev/null; rm $W/warm"

function fio(name: string, mode: string, { fioSeconds, mebibytes }: Size): string {
  const words = `--name=${name} --filename=big --rw=${mode} --bs=4k --ioengine=psync --runtime=${fioSeconds}`
  return inTools(
    `fio ${words} --time_based --size=${mebibytes}m --randseed=7 --allow_file_create=0 --output-format=terse`,
  )
}

/** Of fio's terse form, version 3: IOPS of reads, of writes. */
const field = (index: number) => (_: number, output: string) =>
  Number(
    output
      .split("\n")
      .find((line) => line.startsWith("3;"))
      ?.split(";")[index],
  )
const READ_IOPS = 7
const WRITE_IOPS = 48

/** Rows of the table, in an order in which each finds what the ones before have made. */
export function loads(size: Size): readonly Load[] {
  const rate = (value: number): number => size.mebibytes / value
  const { mebibytes, inserts } = size
  return [
    {
      name: "sequential write, 1 MiB blocks",
      unit: "MiB/s",
      before: "rm -f $W/big",
      command: `dd if=/dev/zero of=$W/big bs=1M count=${mebibytes} conv=fsync`,
      value: rate,
    },
    {
      name: "sequential read, 1 MiB blocks",
      unit: "MiB/s",
      before: DROP,
      command: "dd if=$W/big of=/dev/null bs=1M",
      value: rate,
    },
    {
      name: "random read, 4 KiB",
      unit: "IOPS",
      before: DROP,
      command: fio("r", "randread", size),
      value: field(READ_IOPS),
    },
    {
      name: "random write, 4 KiB",
      unit: "IOPS",
      command: fio("w", "randwrite", size),
      after: "sync",
      value: field(WRITE_IOPS),
    },
    {
      name: `git clone of ${size.repositoryFiles} files`,
      unit: "s",
      before: `rm -rf $W/clone; ${DROP}`,
      command: inTools("git -c safe.directory=* clone -q --no-hardlinks --template= repository clone"),
      value: seconds,
    },
    {
      name: "git status",
      unit: "s",
      before: DROP,
      command: inTools("git -c safe.directory=* -C clone status --short"),
      value: seconds,
    },
    { name: `find | wc`, unit: "s", before: DROP, command: "find $W/clone | wc -l", value: seconds },
    {
      name: `cat of ${size.repositoryFiles} files`,
      unit: "s",
      before: DROP,
      command: "find $W/clone -type f -path '*/d*' -print0 | xargs -0 cat > /dev/null",
      after: "rm -rf $W/clone",
      value: seconds,
    },
    {
      name: `extracting a tar of ${size.archiveFiles} files`,
      unit: "s",
      before: `mkdir -p $W/out; ${DROP}`,
      command: "tar -xf /tools/archive.tar -C $W/out",
      after: "rm -rf $W/out",
      value: seconds,
    },
    {
      name: `${inserts} SQLite inserts with fsync`,
      unit: "s",
      before: "rm -f $W/base*",
      command: inTools(
        `(echo "create table t (a integer primary key, b text);"; i=0; while [ $i -lt ${inserts} ]; do echo "insert into t (b) values (hex(randomblob(50)));"; i=$((i+1)); done) | sqlite3 base`,
      ),
      value: seconds,
    },
    {
      name: "8 parallel readers",
      unit: "MiB/s",
      before: DROP,
      command: `for i in 0 1 2 3 4 5 6 7; do dd if=$W/big of=/dev/null bs=1M skip=$((i * ${mebibytes / 8})) count=${mebibytes / 8} 2>/dev/null & done; wait`,
      value: rate,
    },
  ]
}
