/**
 * Exports files as other programs and people leave them, whole and as parts for generated ones.
 *
 * Constructed from the sources and templates of those programs (vagrant's templates/nfs, johanneswuerbach/nfsexports as docker-machine-driver-xhyve and
 * minikube vendor it, dlite, Apple's manual page): none was recorded on a Mac.
 *
 * @module
 */
import fc from "fast-check"

export const VAGRANT = [
  "# VAGRANT-BEGIN: 501 0b3c8a3e-5e3c-4a2c-9b8e-7a2f2d7e1c11",
  '"/Users/me/project" 192.168.33.10 -alldirs -mapall=501:20',
  '"/Users/me/other one" -alldirs -mapall=501:20 192.168.33.11',
  "# VAGRANT-END: 501 0b3c8a3e-5e3c-4a2c-9b8e-7a2f2d7e1c11",
].join("\n")

export const XHYVE = [
  "# BEGIN: docker-machine-driver-xhyve default-/Users",
  "/Users 192.168.64.2 -alldirs -mapall=me",
  "# END: docker-machine-driver-xhyve default-/Users",
].join("\n")

export const MINIKUBE = [
  "# BEGIN: minikube-hyperkit minikube-/Users",
  "/Users 192.168.64.7 -alldirs -mapall=me",
  "# END: minikube-hyperkit minikube-/Users",
].join("\n")

export const DLITE = [
  "# BEGIN: dlite",
  "/Users -network 192.168.64.0 -mask 255.255.255.0 -alldirs -maproot=root:wheel",
  "# END: dlite",
].join("\n")

export const BY_HAND = [
  "# my own, do not touch!",
  "",
  "/usr /usr/local -maproot=0:10 friends",
  "\t/u -maproot=bin: -network 131.104.48 -mask 255.255.255.0  # the old lab",
  "/cdrom \\",
  "   -alldirs,-ro \\",
  "   -network=192.168.33.0 -mask=255.255.255.0",
  "/a\\ b 'c d' \"/e f\" -sec=krb5",
  "/everyone -ro",
].join("\n")

export const LINUX = [
  "# /etc/exports: the access control list for filesystems which may be exported",
  "/srv/homes       hostname1(rw,sync,no_subtree_check) hostname2(ro,sync,no_subtree_check)",
  "/srv/nfs4        gss/krb5i(rw,sync,fsid=0,crossmnt,no_subtree_check)",
  '"/srv/with space" 10.0.0.0/255.255.255.0(rw) *.example.org(ro)',
  "/srv/octal\\040name @netgroup(rw,insecure) \\",
  "    192.168.64.0/24(rw)",
  "/srv/defaults -ro,all_squash 10.1.1.1 10.1.1.2(rw)",
  "/srv/world",
].join("\n")

const part = fc.constantFrom(
  ...[VAGRANT, XHYVE, MINIKUBE, DLITE, BY_HAND, LINUX].flatMap((file) => [file, ...file.split("\n")]),
)
const noise = fc
  .string({ unit: "binary", maxLength: 20 })
  .map((text) => Buffer.from(text, "utf8").toString("latin1"))
const end = fc.constantFrom("\n", "\r\n", "\n\n", "")

/** Any file that is not ours: parts of others', bytes of any kind, every end of line. */
export const foreignFile: fc.Arbitrary<string> = fc
  .array(fc.tuple(fc.oneof({ arbitrary: part, weight: 4 }, { arbitrary: noise, weight: 1 }), end), {
    maxLength: 12,
  })
  .map((pieces) => pieces.map(([text, last]) => text + last).join(""))
