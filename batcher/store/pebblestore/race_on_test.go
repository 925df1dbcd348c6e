//go:build race

package pebblestore

// The race detector makes a start many times slower, and flipped bits have little to do with races:
// make runs all of them without it.
const defaultFlips = 40
