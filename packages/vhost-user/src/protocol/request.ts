/**
 * The requests of the vhost-user protocol that a front end sends (QEMU, docs/interop/vhost-user.rst, "Front-end message types").
 *
 * @module
 */

export const GET_FEATURES = 1
export const SET_FEATURES = 2
export const SET_OWNER = 3
export const RESET_OWNER = 4
export const SET_MEM_TABLE = 5
export const SET_LOG_BASE = 6
export const SET_LOG_FD = 7
export const SET_VRING_NUM = 8
export const SET_VRING_ADDR = 9
export const SET_VRING_BASE = 10
export const GET_VRING_BASE = 11
export const SET_VRING_KICK = 12
export const SET_VRING_CALL = 13
export const SET_VRING_ERR = 14
export const GET_PROTOCOL_FEATURES = 15
export const SET_PROTOCOL_FEATURES = 16
export const GET_QUEUE_NUM = 17
export const SET_VRING_ENABLE = 18
export const SEND_RARP = 19
export const NET_SET_MTU = 20
export const SET_BACKEND_REQ_FD = 21
export const GET_CONFIG = 24
export const SET_CONFIG = 25
export const GET_INFLIGHT_FD = 31
export const SET_INFLIGHT_FD = 32
export const RESET_DEVICE = 34
export const GET_MAX_MEM_SLOTS = 36
export const ADD_MEM_REG = 37
export const REM_MEM_REG = 38
export const SET_STATUS = 39
export const GET_STATUS = 40

const NAMES: ReadonlyMap<number, string> = new Map([
  [GET_FEATURES, "GET_FEATURES"],
  [SET_FEATURES, "SET_FEATURES"],
  [SET_OWNER, "SET_OWNER"],
  [RESET_OWNER, "RESET_OWNER"],
  [SET_MEM_TABLE, "SET_MEM_TABLE"],
  [SET_LOG_BASE, "SET_LOG_BASE"],
  [SET_LOG_FD, "SET_LOG_FD"],
  [SET_VRING_NUM, "SET_VRING_NUM"],
  [SET_VRING_ADDR, "SET_VRING_ADDR"],
  [SET_VRING_BASE, "SET_VRING_BASE"],
  [GET_VRING_BASE, "GET_VRING_BASE"],
  [SET_VRING_KICK, "SET_VRING_KICK"],
  [SET_VRING_CALL, "SET_VRING_CALL"],
  [SET_VRING_ERR, "SET_VRING_ERR"],
  [GET_PROTOCOL_FEATURES, "GET_PROTOCOL_FEATURES"],
  [SET_PROTOCOL_FEATURES, "SET_PROTOCOL_FEATURES"],
  [GET_QUEUE_NUM, "GET_QUEUE_NUM"],
  [SET_VRING_ENABLE, "SET_VRING_ENABLE"],
  [SEND_RARP, "SEND_RARP"],
  [NET_SET_MTU, "NET_SET_MTU"],
  [SET_BACKEND_REQ_FD, "SET_BACKEND_REQ_FD"],
  [GET_CONFIG, "GET_CONFIG"],
  [SET_CONFIG, "SET_CONFIG"],
  [GET_INFLIGHT_FD, "GET_INFLIGHT_FD"],
  [SET_INFLIGHT_FD, "SET_INFLIGHT_FD"],
  [RESET_DEVICE, "RESET_DEVICE"],
  [GET_MAX_MEM_SLOTS, "GET_MAX_MEM_SLOTS"],
  [ADD_MEM_REG, "ADD_MEM_REG"],
  [REM_MEM_REG, "REM_MEM_REG"],
  [SET_STATUS, "SET_STATUS"],
  [GET_STATUS, "GET_STATUS"],
])

/** "SET_VRING_KICK", or "request 99". For logs and tests. */
export function nameOf(request: number): string {
  return NAMES.get(request) ?? `request ${request}`
}

/** Requests whose answer is a message of their own; to others there is one only where NEED_REPLY asks for it. */
const ANSWERED: ReadonlySet<number> = new Set([
  GET_FEATURES,
  GET_VRING_BASE,
  GET_PROTOCOL_FEATURES,
  GET_QUEUE_NUM,
  GET_CONFIG,
  GET_INFLIGHT_FD,
  GET_MAX_MEM_SLOTS,
  GET_STATUS,
])

export function isAnswered(request: number): boolean {
  return ANSWERED.has(request)
}
