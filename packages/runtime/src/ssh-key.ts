/**
 * New SSH keys: Ed25519 (RFC 8709) in OpenSSH's own format for private keys (PROTOCOL.key of OpenSSH), which ssh(1), sshd(8) and ssh2 read.
 *
 * Written here because one of some three hundred that ssh2 1.17 makes can be read by nobody.
 *
 *     "openssh-key-v1\0"  cipher  kdf  kdf options  count  public key  private part
 *     private part: check  check  type  public point  seed ‖ public point  comment  1 2 3 … up to a whole block
 *
 * @module
 */
import { generateKeyPairSync, randomBytes } from "node:crypto"

export interface SshKey {
  /** The text of the private file. */
  readonly privateKey: string
  /** `ssh-ed25519 AAAA… comment` */
  readonly publicKey: string
}

const MAGIC = "openssh-key-v1\0"
const TYPE = "ssh-ed25519"
/** Of the cipher "none". */
const BLOCK = 8
const CHECK_BYTES = 4
/** As ssh-keygen breaks its lines. */
const COLUMNS = 70

/** Makes a key without a passphrase. The comment is one line. */
export function newSshKey(comment: string): SshKey {
  const { privateKey } = generateKeyPairSync("ed25519")
  const { d, x } = privateKey.export({ format: "jwk" })
  if (d === undefined || x === undefined) throw new Error("an Ed25519 key has no seed")
  return opensshKey(Buffer.from(d, "base64url"), Buffer.from(x, "base64url"), comment)
}

function opensshKey(seed: Buffer, point: Buffer, comment: string): SshKey {
  const type = Buffer.from(TYPE)
  const publicBlob = strings(type, point)
  const check = randomBytes(CHECK_BYTES)
  const content = Buffer.concat([
    check,
    check,
    strings(type, point, Buffer.concat([seed, point]), Buffer.from(comment)),
  ])
  const padding = Buffer.from(Array.from({ length: -content.length & (BLOCK - 1) }, (_, index) => index + 1))
  const none = Buffer.from("none")
  const file = Buffer.concat([
    Buffer.from(MAGIC),
    strings(none, none, Buffer.alloc(0)),
    Buffer.from([0, 0, 0, 1]),
    strings(publicBlob, Buffer.concat([content, padding])),
  ])
  const lines = file.toString("base64").match(new RegExp(`.{1,${COLUMNS}}`, "g")) ?? []
  return {
    privateKey: [
      "-----BEGIN OPENSSH PRIVATE KEY-----",
      ...lines,
      "-----END OPENSSH PRIVATE KEY-----",
      "",
    ].join("\n"),
    publicKey: `${TYPE} ${publicBlob.toString("base64")} ${comment}`.trimEnd(),
  }
}

/** RFC 4251 §5: each as its length and its bytes. */
function strings(...values: readonly Buffer[]): Buffer {
  return Buffer.concat(
    values.flatMap((value) => {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(value.length)
      return [length, value]
    }),
  )
}
