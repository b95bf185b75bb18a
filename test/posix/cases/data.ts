/**
 * What is in files: reading and writing at any place, holes, mappings, copies, and random sequences of all of these against a copy in memory.
 *
 * @module
 */
import { type PosixCase, posix } from "../case.ts"

const SEEDS = [1, 2, 3, 4]

export function dataCases(): readonly PosixCase[] {
  return [
    posix(
      "read and write",
      `open A f rw,creat 0644 = 0
       read A 0 10 = 0:
       write A - hello = 5
       read A - 5 = 0:
       seek A 0 set = 0
       read A - 2 = 2:he
       read A - 10 = 3:llo
       write A - !! = 2
       contents f = 7:hello!!
       write A 10 x = 1
       contents f = 11:hello!!%00%00%00x
       seek A 0 end = 11
       seek A -1 set = EINVAL
       seek A -12 end = EINVAL
       read A 100 10 = 0:
       fstat A size = 11`,
    ),
    posix(
      "appending, from two sides",
      `open A f rw,creat,append 0644 = 0
       open B f w,append = 0
       write A - one = 3
       write B - two = 3
       write A - three = 5
       contents f = 11:onetwothree
       seek A 0 set = 0
       write A - x = 1
       contents f = 12:onetwothreex
       read A 0 3 = 3:one
       open C f w = 0
       write C 0 ONE = 3
       write B - end = 3
       contents f = 15:ONEtwothreexend
       truncate f 3 = 0
       write A - y = 1
       contents f = 4:ONEy`,
    ),
    posix(
      "what one opened file writes the other reads",
      `open A f rw,creat 0644 = 0
       open B f r = 0
       write A 0 abc = 3
       read B 0 10 = 3:abc
       ftruncate A 1 = 0
       read B 0 10 = 1:a
       write A 3 d = 1
       read B 0 10 = 4:a%00%00d
       fstat B size = 4
       link f g = 0
       open C g rw = 0
       write C 1 bc = 2
       read A 0 10 = 4:abcd`,
    ),
    posix(
      "far out, and holes",
      `open A f rw,creat 0644 = 0
       write A 5000000000 far = 3
       fstat A size = 5000000003
       read A 4999999998 10 = 5:%00%00far
       read A 0 16 = 16:{%00*16}
       write A 8589934592 farther = 7
       fstat A size = 8589934599
       seek A 0 end = 8589934599
       ftruncate A 5000000001 = 0
       read A 5000000000 5 = 1:f
       write A 9223372036854775807 x
       ftruncate A 0 = 0
       fstat A size = 0`,
    ),
    posix(
      "where data is",
      `open A f rw,creat 0644 = 0
       ftruncate A 1048576 = 0
       write A 524288 data = 4
       fsync A = 0
       seek A 0 data
       seek A 524288 hole
       seek A 600000 data
       seek A 0 hole
       seek A 1048576 data = ENXIO
       seek A 1048576 hole = ENXIO`,
    ),
    posix(
      "room for data",
      `open A f rw,creat 0644 = 0
       fallocate A plain 0 10000
       fstat A size
       fallocate A keep 0 100000
       fstat A size
       write A 0 ${"d".repeat(100)} = 100
       fallocate A punch 10 20
       read A 0 40
       fallocate A zero 50 10
       read A 40 40
       fallocate A plain 0 0
       fallocate A plain -1 10
       open B f r = 0
       fallocate B plain 0 10
       mkfifo p 0644 = 0
       open C p rw,nonblock = 0
       fallocate C plain 0 10 = ESPIPE`,
    ),
    posix(
      "copies from file to file",
      `open A f rw,creat 0644 = 0
       write A 0 0123456789 = 10
       open B g rw,creat 0644 = 0
       copy A 2 B 5 4 = 4
       contents g = 9:%00%00%00%00%002345
       copy A 8 B 0 100 = 2
       copy A 10 B 0 100 = 0
       copy A 0 A 10 10 = 10
       contents f = 20:01234567890123456789
       copy A 0 A 5 10 = EINVAL
       open C g r = 0
       copy A 0 C 0 5 = EBADF
       fstat B size = 9`,
    ),
    posix(
      "mappings see what is written, and writing sees them",
      `open A f rw,creat 0644 = 0
       write A 0 0123456789 = 10
       map A rw 10
       map_write A 2 xy
       read A 0 10
       write A 8 Z = 1
       map_read A 0 10
       ftruncate A 5000 = 0
       map_write A 4500 far
       read A 4498 6
       open B f r = 0
       map B r 10
       map B rw 10
       open C f w = 0
       map C r 10 = EACCES`,
    ),
    ...SEEDS.map((seed) => posix(`random data, seed ${seed}`, `fsx f ${seed} 400 = ok`)),
    ...SEEDS.map((seed) => posix(`random data and mappings, seed ${seed}`, `fsx f ${seed} 300 map = ok`)),
  ]
}
