/**
 * The share manager.
 *
 * @module
 */
export {}
