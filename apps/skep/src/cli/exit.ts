/**
 * Exit codes as `skep --help` lists them.
 *
 * @module
 */

export const EXIT_HELP: string = [
  "0  done (status: Docker answers)",
  "1  failed",
  "2  wrong usage or a value out of bounds",
  "3  no such machine, image or file",
  "4  the machine is not in the state for it (status: Docker does not answer)",
  "5  a deadline passed, or nobody answered",
  "6  a program is missing on the host",
  "130  interrupted",
].join("\n  ")
