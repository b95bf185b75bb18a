/**
 * Random calls over a few names, which collide all the time: whatever the machine's own file system says, the others have to say.
 *
 * @module
 */
import { type PosixCase, posix } from "../case.ts"

const CASES = 40
const STEPS = 60
const NAMES = ["a", "b", "c", "d", "d/a", "d/b", "d/d", "e", "e/a", "e/d", "e/d/a", "l", "l/a"]
const WHO = ["", "", "", "@1000:1000 ", "@1001:1000 ", "@1002:1002,1001 "]
const MODES = ["0755", "0700", "0644", "0600", "0777", "01777", "0555", "02775"]
const FACTS = "type,mode,links,uid,gid"
const OWNERS = ["0", "1000", "1001", "-1"]

/** xorshift32: the same sequence each time. */
function sequence(seed: number): <T>(among: readonly T[]) => T {
  let state = seed * 2_654_435_761 || 1
  return (among) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    const found = among[(state >>> 0) % among.length]
    if (found === undefined) throw new Error("nothing to choose from")
    return found
  }
}

const STEPS_OF: readonly ((pick: <T>(among: readonly T[]) => T) => string)[] = [
  (pick) => `create ${pick(NAMES)} ${pick(MODES)}`,
  (pick) => `mkdir ${pick(NAMES)} ${pick(MODES)}`,
  (pick) => `mkdir ${pick(["d", "e", "e/d"])} ${pick(MODES)}`,
  (pick) => `symlink ${pick(["d", "a", "e/d", "../a", "missing"])} ${pick(NAMES)}`,
  (pick) => `mkfifo ${pick(NAMES)} ${pick(MODES)}`,
  (pick) => `link ${pick(NAMES)} ${pick(NAMES)}`,
  (pick) => `rename ${pick(NAMES)} ${pick(NAMES)}`,
  (pick) => `rename ${pick(NAMES)} ${pick(NAMES)}`,
  (pick) => `unlink ${pick(NAMES)}`,
  (pick) => `rmdir ${pick(NAMES)}`,
  (pick) => `chmod ${pick(NAMES)} ${pick(MODES)}`,
  (pick) => `chown ${pick(NAMES)} ${pick(OWNERS)} ${pick(OWNERS)}`,
  (pick) => `lchown ${pick(NAMES)} ${pick(OWNERS)} ${pick(OWNERS)}`,
  (pick) => `truncate ${pick(NAMES)} ${pick(["0", "10", "5000"])}`,
  (pick) => `lstat ${pick(NAMES)} ${FACTS}`,
  (pick) => `stat ${pick(NAMES)} ${FACTS}`,
  (pick) => `list ${pick(["d", "e", "e/d", "l"])}`,
  (pick) => `readlink ${pick(NAMES)}`,
  (pick) => `access ${pick(NAMES)} ${pick(["r", "w", "x", "r,w,x"])}`,
  (pick) => `utimes ${pick(NAMES)} ${pick(["now", "omit", "1"])} ${pick(["now", "omit", "2"])}`,
]

export function randomCases(): readonly PosixCase[] {
  return Array.from({ length: CASES }, (_, index) => {
    const pick = sequence(index + 1)
    const steps = Array.from({ length: STEPS }, () => `${pick(WHO)}${pick(STEPS_OF)(pick)}`)
    const all = NAMES.map((name) => `lstat ${name} ${FACTS}`)
    return posix(`random names, seed ${index + 1}`, ["chmod . 0777", ...steps, ...all].join("\n"))
  })
}
