//go:build !race

package pebblestore

const defaultFlips = 200
