/**
 * The messages of FUSE as values and back: pure.
 *
 * @module
 */
export {
  ATTR_OUT,
  ENTRY_ATTR,
  ENTRY_OUT,
  emitAttributes,
  emitAttrOut,
  emitEntryHead,
  emitSetAttrIn,
  emitStatfs,
  parseAttributes,
  parseEntryHead,
  parseSetAttrIn,
  parseStatfs,
  SETATTR_IN,
  type SetAttrIn,
  STATFS_OUT,
  type Validity,
} from "./attributes.ts"
export * as constants from "./constants.ts"
export { DIRENT, direntSize, emitDirent, entriesOf, parseDirent } from "./entries.ts"
export {
  emitInHeader,
  emitOutHeader,
  IN_HEADER,
  type InHeader,
  type MalformedHeader,
  newInHeader,
  OUT_HEADER,
  type OutHeader,
  parseInHeader,
  parseOutHeader,
  prettyIn,
  prettyOut,
} from "./header.ts"
export {
  emitInitIn,
  emitInitOut,
  INIT_IN,
  INIT_IN_EXTENDED,
  INIT_OUT,
  type InitIn,
  type InitOut,
  parseInitIn,
  parseInitOut,
} from "./init.ts"
export { emitName, endOfName, type MalformedName, NAME_MAX, PATH_MAX } from "./names.ts"
export * as files from "./open.ts"
export * as others from "./others.ts"
