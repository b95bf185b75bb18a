/**
 * A first-in-first-out list in which everything is at most once and can leave from the middle at once.
 *
 * Linked, because a hostile guest makes and ends streams without ever taking a packet: what is over must leave no
 * trace here, and a `Set` used as a queue walks over the holes of what was deleted.
 *
 * @module
 */

/** An item's place in one ring; make one for each ring it is to be in. */
export class Place<Item> {
  readonly item: Item
  before: Place<Item> | undefined
  after: Place<Item> | undefined
  ring: Ring<Item> | undefined

  constructor(item: Item) {
    this.item = item
  }
}

export class Ring<Item> {
  #first: Place<Item> | undefined
  #last: Place<Item> | undefined
  #size = 0

  get size(): number {
    return this.#size
  }

  /** The oldest item, which stays. */
  get first(): Item | undefined {
    return this.#first?.item
  }

  /** Adds the item at the end, unless it is in a ring already. */
  add(place: Place<Item>): void {
    if (place.ring !== undefined) return
    place.ring = this
    place.before = this.#last
    if (this.#last === undefined) this.#first = place
    else this.#last.after = place
    this.#last = place
    this.#size += 1
  }

  /** Takes the item out, if it is in here. */
  remove(place: Place<Item>): void {
    if (place.ring !== this) return
    if (place.before === undefined) this.#first = place.after
    else place.before.after = place.after
    if (place.after === undefined) this.#last = place.before
    else place.after.before = place.before
    place.ring = undefined
    place.before = undefined
    place.after = undefined
    this.#size -= 1
  }

  /** Takes the oldest item out. */
  shift(): Item | undefined {
    const place = this.#first
    if (place === undefined) return undefined
    this.remove(place)
    return place.item
  }
}
