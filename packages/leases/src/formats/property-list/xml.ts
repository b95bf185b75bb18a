/**
 * Property lists in XML: Apple's PropertyList-1.0.dtd, and as much of XML 1.0 as that needs.
 *
 *     <plist version="1.0"><dict><key>Shared_Net_Address</key><string>192.168.64.1</string></dict></plist>
 *
 * @module
 */
import { Budget, type Dictionary, Malformed, type Value } from "./value.ts"

/** Comments, instructions, the document type (without declarations of its own), character data, tags, text. */
const TOKEN =
  /<!--[^]*?-->|<\?[^]*?\?>|<!DOCTYPE[^>[]*>|<!\[CDATA\[([^]*?)\]\]>|<(\/?)([a-z]+)(?:\s+version="[^"<]*")?\s*(\/?)>|([^<]+)/y
const ENTITY = /&(?:#x([0-9a-f]{1,6})|#([0-9]{1,7})|([a-z]+));|&/gi
const NAMED: ReadonlyMap<string, string> = new Map([
  ["lt", "<"],
  ["gt", ">"],
  ["amp", "&"],
  ["quot", '"'],
  ["apos", "'"],
])

/** Throws Malformed. */
export function parseXml(text: string): Value {
  return new Reader(text).document()
}

class Reader {
  readonly #text: string
  readonly #budget = new Budget()
  #at = 0
  /** Of the newest token: a tag's name, with a slash before it where it closes; "" is text. */
  #tag = ""
  /** Whether the tag is all of its element. */
  #isEmpty = false
  #characters = ""

  constructor(text: string) {
    this.#text = text
  }

  document(): Value {
    this.#open("plist")
    this.#element()
    const value = this.#value(0)
    this.#element()
    if (this.#tag !== "/plist") throw this.#malformed("something follows the value of the property list")
    return value
  }

  #malformed(sentence: string): Malformed {
    return new Malformed(this.#text.slice(0, this.#at).split("\n").length, sentence)
  }

  /** The next token that says something; false at the end. */
  #token(): boolean {
    while (this.#at < this.#text.length) {
      TOKEN.lastIndex = this.#at
      const found = TOKEN.exec(this.#text)
      if (found === null) throw this.#malformed("a tag that is none of a property list")
      this.#at = TOKEN.lastIndex
      const [, data, slash, name, empty, characters] = found
      if (name !== undefined) {
        this.#tag = `${slash ?? ""}${name}`
        this.#isEmpty = empty === "/"
        return true
      }
      if (data === undefined && characters === undefined) continue
      this.#tag = ""
      this.#characters = data ?? this.#decoded(characters ?? "")
      return true
    }
    return false
  }

  /** The next tag, with nothing but blanks before it. */
  #element(): void {
    while (this.#token()) {
      if (this.#tag !== "") return
      if (this.#characters.trim() !== "") throw this.#malformed("text where none should be")
    }
    throw this.#malformed("the file ends in the middle of a property list")
  }

  #open(name: string): void {
    this.#element()
    if (this.#tag !== name || this.#isEmpty) throw this.#malformed(`there is no ${name}`)
  }

  /** Of the element whose tag was read. */
  #value(depth: number): Value {
    this.#budget.spend(depth, 1)
    switch (this.#tag) {
      case "true":
      case "false":
        return this.#single()
      case "dict":
        return this.#dictionary(depth)
      case "array":
        return this.#list(depth)
      case "integer":
      case "real":
        return this.#number()
      case "data":
        return Buffer.from(this.#content(), "base64")
      case "string":
      case "date":
        return this.#content()
      default:
        throw this.#malformed("a tag that is none of a property list")
    }
  }

  #single(): boolean {
    const tag = this.#tag
    if (this.#content() !== "") throw this.#malformed(`${tag} with something in it`)
    return tag === "true"
  }

  #number(): number {
    const content = this.#content().trim()
    const value = content === "" ? Number.NaN : Number(content)
    if (Number.isNaN(value)) throw this.#malformed("a number that is none")
    return value
  }

  #list(depth: number): readonly Value[] {
    const values: Value[] = []
    if (this.#isEmpty) return values
    for (this.#element(); this.#tag !== "/array"; this.#element()) values.push(this.#value(depth + 1))
    return values
  }

  #dictionary(depth: number): Dictionary {
    const values = new Map<string, Value>()
    if (this.#isEmpty) return values
    for (this.#element(); this.#tag !== "/dict"; this.#element()) {
      if (this.#tag !== "key") throw this.#malformed("a value without a key")
      const key = this.#content()
      this.#element()
      values.set(key, this.#value(depth + 1))
    }
    return values
  }

  /** All text to the closing tag of the element whose tag was read. */
  #content(): string {
    if (this.#isEmpty) return ""
    const closing = `/${this.#tag}`
    let content = ""
    while (this.#token()) {
      if (this.#tag === closing) return content
      if (this.#tag !== "") throw this.#malformed("a tag where text should be")
      content += this.#characters
    }
    throw this.#malformed("the file ends in the middle of a property list")
  }

  #decoded(text: string): string {
    return text.replaceAll(ENTITY, (_, hex?: string, decimal?: string, name?: string) => {
      const point = hex === undefined ? Number(decimal ?? -1) : Number.parseInt(hex, 16)
      const named = NAMED.get(name ?? "")
      if (named !== undefined) return named
      if (point < 0 || point > 0x10_ffff) throw this.#malformed("an entity that is none of XML's own")
      return String.fromCodePoint(point)
    })
  }
}
