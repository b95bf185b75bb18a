/**
 * @module
 */
import { expect, test } from "vitest"
import { Slots } from "../../src/docker/slots.ts"

const never = new AbortController().signal

test("take() waits its turn, first come first served", async () => {
  const slots = new Slots("thing", 1, 10)
  const order: number[] = []
  await slots.take(never)
  const waiting = [1, 2].map((n) => slots.take(never).then(() => order.push(n)))
  slots.release()
  await waiting[0]
  expect(order).toEqual([1])
  slots.release()
  await Promise.all(waiting)
  expect(order).toEqual([1, 2])
  expect(slots.open).toBe(1)
})

test("take() says busy when the queue is full", async () => {
  const slots = new Slots("thing", 1, 1)
  await slots.take(never)
  const waiting = slots.take(never)
  await expect(slots.take(never)).rejects.toMatchObject({ code: "busy" })
  slots.release()
  await waiting
})

test("take() ends with its signal, and leaves the queue", async () => {
  const slots = new Slots("thing", 1, 1)
  await slots.take(never)
  const controller = new AbortController()
  const waiting = slots.take(controller.signal)
  controller.abort(new Error("enough"))
  await expect(waiting).rejects.toThrow("enough")
  await expect(slots.take(controller.signal)).rejects.toThrow("enough")
  const next = slots.take(never)
  slots.release()
  await next
})
