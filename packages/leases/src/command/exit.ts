/**
 * Exit codes as `skep-leases --help` lists them.
 *
 * @module
 */

export const EXIT_HELP: string = [
  "0  done, also where there was nothing to do",
  "1  failed",
  "2  wrong usage",
  "3  no such file or lease",
  "4  not now: the server writes all the time, or has written since, or does not give all of them back",
  "5  nobody answered in time",
  "6  a program is missing on the host",
  "130  interrupted",
].join("\n  ")
